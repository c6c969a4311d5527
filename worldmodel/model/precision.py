"""The number format in which a network dreams: float32, or bfloat16 where the device multiplies it natively."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from worldmodel.errors import WorldModelError
from worldmodel.model.network import SpacetimeNetwork

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_CAST = ("conditioning", "encoder", "layers", "decoder")  # the gates and the heads stay in float32


def dtype_of(precision: str) -> torch.dtype:
    """The dtype of this name. Raises WorldModelError for another one."""
    if precision not in PRECISIONS:
        raise WorldModelError(f"precision is {precision!r}: give {', '.join(PRECISIONS)} or auto.")
    return PRECISIONS[precision]


def native_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; emulated, it is several times slower than float32."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def chosen_precision(choice: str | None, device: torch.device) -> str:
    """In which format to dream: `choice`; "auto": bfloat16 where the device multiplies it natively; None: that on a
    GPU alone, because on a CPU the same seed should dream the same on any of them, as nearly as float32 allows."""
    if choice is None:
        choice = "auto" if device.type == "cuda" else "float32"
    if choice == "auto":
        choice = "bfloat16" if native_bfloat16(device) else "float32"
    return choice


def cast_trunk(network: SpacetimeNetwork, dtype: torch.dtype) -> None:
    """Store the weights of the network's matrix products and convolutions, and its residual stream, in `dtype`.

    For dreaming only: what bfloat16 rounds off is lost, so do not train or save the network afterwards.
    """
    for name in _CAST:
        for module in network.get_submodule(name).modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.to(dtype)
    network.position.data = network.position.data.to(dtype)


def trunk_dtype(network: SpacetimeNetwork) -> torch.dtype:
    """What cast_trunk set, float32 without it."""
    return network.position.dtype


def in_trunk_dtype(network: SpacetimeNetwork) -> AbstractContextManager[object]:
    """The context in which a network with a cast trunk runs: float32 inputs are cast where weights meet them."""
    dtype = trunk_dtype(network)
    if dtype == torch.float32:
        return nullcontext()
    # Nothing to cache, for the weights are cast already; and a cache would leave a CUDA graph pointing into it.
    return torch.autocast(network.device.type, dtype, cache_enabled=False)
