"""Floating-point operations, counted by torch while the network runs, in all and by part of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from worldmodel.benchmark.parts import by_part
from worldmodel.model.network import SpacetimeNetwork

CONVENTION = (
    "A multiply-add counts as two; matrix products, convolutions and attention are counted (what attention computes "
    "and then masks included), everything elementwise is not."
)


def count_flops(function: Callable[[], object], network: SpacetimeNetwork) -> dict[str, int]:
    """FLOP of one call by part of the network (see parts.by_part), and of all under "total"."""
    with FlopCounterMode(display=False, custom_mapping=dict(_UNCOUNTED)) as counter:
        function()
    counts = {name: sum(found.values()) for name, found in counter.get_flop_counts().items()}
    prefix = f"{type(network).__name__}."
    modules = {name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)}
    total = counter.get_total_flops()
    return {**by_part(network, modules, total), "total": total}


def _fused_attention(query: Any, key: Any, value: Any, *rest: Any, **named: Any) -> int:
    return sdpa_flop_count(query, key, value)


# torch's own counter says nothing of the CPU's fused attention, and counts it as free.
_UNCOUNTED: Mapping[Any, Callable[..., int]] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _fused_attention
}
