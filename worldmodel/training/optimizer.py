"""The optimiser of a training: Muon for the network's inner matrices, AdamW for everything else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from worldmodel.model.precision import native_bfloat16

# Where the inner matrices are; first and last layers, embeddings, modulations and heads stay with AdamW.
_INNER = ("encoder.blocks.", "encoder.downs.", "layers.", "decoder.ups.", "decoder.blocks.")
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan et al., 2024: steepest at zero


class Muon(torch.optim.Optimizer):
    """Momentum whose update is brought close to an orthogonal matrix (Jordan et al., 2024), scaled to the size of
    AdamW's (Liu et al., arXiv 2502.16982), so that both share one learning rate.

    weights: matrices, or convolutions, taken as [out, in * k * k]; fused: those that hold query, key and value below
    one another, each a matrix by itself. torch.optim.Muon turns one matrix after the other, which took an eighth of a
    step of preset tiny; here those of one shape are turned together.
    """

    def __init__(
        self,
        weights: Sequence[nn.Parameter],
        fused: Sequence[nn.Parameter],
        lr: float,
        weight_decay: float,
        momentum: float = 0.95,
    ) -> None:
        groups = [{"params": list(weights), "parts": 1}, {"params": list(fused), "parts": 3}]
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update from the gradients of all weights."""
        alike: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for group in self.param_groups:
            for weight in group["params"]:
                state, gradient = self.state[weight], weight.grad
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(gradient)
                momentum = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                update = gradient.lerp(momentum, group["momentum"])  # Nesterov's
                for part, matrix in zip(
                    weight.chunk(group["parts"]), update.flatten(1).chunk(group["parts"]), strict=True
                ):
                    rows, columns = matrix.shape
                    wide = matrix if rows <= columns else matrix.T
                    alike[wide.shape[0], wide.shape[1]].append((part, wide))
        for (_, columns), pairs in alike.items():
            turned = orthogonalised(torch.stack([matrix for _, matrix in pairs]))
            rate = self.param_groups[0]["lr"] * 0.2 * columns**0.5
            for (part, _), matrix in zip(pairs, turned, strict=True):
                oriented = matrix if len(part) == len(matrix) else matrix.T
                part.add_(oriented.reshape(part.shape), alpha=-rate)


def orthogonalised(matrices: Tensor) -> Tensor:
    """Near U V^T for matrices U S V^T [K,m,n], m <= n: singular values between about 0.7 and 1.2, after five steps of
    Newton and Schulz."""
    a, b, c = _NEWTON_SCHULZ
    x = matrices.bfloat16() if native_bfloat16(matrices.device) else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.to(matrices.dtype)


class MuonAdamW:
    """Muon on the inner matrices and convolutions of a network, AdamW on its other parameters.

    kind: "muon", or "adamw" for AdamW on all of them. Make it once the network is on its device.
    """

    def __init__(
        self, network: nn.Module, learning_rate: float, weight_decay: float, kind: str = "muon"
    ) -> None:
        inner = {
            name: weight
            for name, weight in network.named_parameters()
            if kind == "muon" and weight.ndim >= 2 and name.startswith(_INNER) and "modulation" not in name
        }
        rest = [weight for name, weight in network.named_parameters() if name not in inner]
        self._parts: dict[str, torch.optim.Optimizer] = {
            "adamw": torch.optim.AdamW(
                rest, learning_rate, betas=(0.9, 0.95), weight_decay=weight_decay, fused=True
            )
        }
        if inner:
            fused = [weight for name, weight in inner.items() if "query_key_value" in name]
            others = [weight for name, weight in inner.items() if "query_key_value" not in name]
            self._parts["muon"] = Muon(others, fused, learning_rate, weight_decay)

    def set_learning_rate(self, rate: float) -> None:
        """Of the next step, for all parameters."""
        for part in self._parts.values():
            for group in part.param_groups:
                group["lr"] = rate

    def step(self) -> None:
        """One update from the gradients of the network's parameters."""
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


def _laid_out_as(weight: Tensor, moment: Tensor) -> Tensor:
    """The fused AdamW walks through weights and moments in memory order: both must be channels-last, or neither."""
    return torch.empty_like(weight).copy_(moment) if moment.shape == weight.shape else moment
