"""The optimiser of a training: Muon for the network's inner matrices, AdamW for everything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

# Where the inner matrices are; first and last layers, embeddings, modulations and heads stay with AdamW.
_INNER = ("encoder.blocks.", "encoder.downs.", "layers.", "decoder.ups.", "decoder.blocks.")


class MuonAdamW:
    """Muon (Jordan et al., 2024, with the update's scale of Liu et al., arXiv 2502.16982, so that both share one
    learning rate) on the inner matrices and convolutions of a network, AdamW on its other parameters.

    kind: "muon", or "adamw" for AdamW on all of them. Make it once the network is on its device: Muon works on views
    of the weights.
    """

    def __init__(
        self, network: nn.Module, learning_rate: float, weight_decay: float, kind: str = "muon"
    ) -> None:
        inner = dict(_inner_matrices(network)) if kind == "muon" else {}
        rest = [weight for name, weight in network.named_parameters() if name not in inner]
        adamw = torch.optim.AdamW(
            rest, learning_rate, betas=(0.9, 0.95), weight_decay=weight_decay, fused=True
        )
        self._parts: dict[str, torch.optim.Optimizer] = {"adamw": adamw}
        # Of each inner weight: its name, itself, and the matrices that share its memory.
        self._inner = [
            (name, weight, [nn.Parameter(matrix) for matrix in _matrices(name, weight.detach())])
            for name, weight in inner.items()
        ]
        if inner:
            self._parts["muon"] = torch.optim.Muon(
                [matrix for _, _, matrices in self._inner for matrix in matrices],
                learning_rate,
                weight_decay=weight_decay,
                momentum=0.95,
                nesterov=True,
                adjust_lr_fn="match_rms_adamw",
            )

    def set_learning_rate(self, rate: float) -> None:
        """Of the next step, for all parameters."""
        for part in self._parts.values():
            for group in part.param_groups:
                group["lr"] = rate

    def step(self) -> None:
        """One update from the gradients of the network's parameters."""
        for name, weight, matrices in self._inner:
            gradients = [None] * len(matrices) if weight.grad is None else _matrices(name, weight.grad)
            for matrix, gradient in zip(matrices, gradients, strict=True):
                matrix.grad = gradient
        for part in self._parts.values():
            part.step()

    def tensors(self) -> dict[str, Tensor]:
        """Its moments by name, for a checkpoint."""
        return {
            f"{name}.{index}.{key}": value.contiguous()
            for name, part in self._parts.items()
            for index, state in part.state_dict()["state"].items()
            for key, value in state.items()
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `tensors` gave."""
        for name, part in self._parts.items():
            weights = [weight for group in part.param_groups for weight in group["params"]]
            state: dict[int, dict[str, Tensor]] = {}
            for path, value in tensors.items():
                kind, index, key = path.split(".")
                if kind == name:
                    state.setdefault(int(index), {})[key] = _laid_out_as(weights[int(index)], value)
            part.load_state_dict({"state": state, "param_groups": part.state_dict()["param_groups"]})


def _inner_matrices(network: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    for name, weight in network.named_parameters():
        if weight.ndim >= 2 and name.startswith(_INNER) and "modulation" not in name:
            yield name, weight


def _matrices(name: str, weight: Tensor) -> tuple[Tensor, ...]:
    """Views [out, in] of a weight: query, key and value each for itself, a convolution as [out, k*k*in]."""
    if weight.ndim == 4:
        return (weight.permute(0, 2, 3, 1).reshape(len(weight), -1),)  # a view of channels-last weights
    return weight.chunk(3) if "query_key_value" in name else (weight,)


def _laid_out_as(weight: Tensor, moment: Tensor) -> Tensor:
    """The fused AdamW walks through weights and moments in memory order: both must be channels-last, or neither."""
    return torch.empty_like(weight).copy_(moment) if moment.shape == weight.shape else moment
