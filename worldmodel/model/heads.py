"""Reward and termination, read from the trunk's tokens after the last denoising pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Readout(nn.Module):
    """Tokens and conditioning of one step -> one feature vector that keeps where things are: project, flatten, mix.

    The conditioning is there for its action: many rewards charge for the action itself.
    """

    def __init__(
        self, width: int, tokens: int, condition_width: int, features: int, per_token: int = 8
    ) -> None:
        super().__init__()
        self.project = nn.Linear(width, per_token)
        inputs = tokens * per_token + condition_width
        self.mix = nn.Sequential(nn.Linear(inputs, features), nn.LayerNorm(features), nn.SiLU())

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """[B,T,N,W], [B,T,E] -> [B,T,features]."""
        return self.mix(torch.cat([self.project(tokens).flatten(-2), condition], dim=-1))


class TwoHotReward(nn.Module):
    """Reward as a distribution over bins even in symlog space, trained by two-hot cross-entropy (DreamerV3)."""

    bins: Tensor

    def __init__(self, features: int, reward_range: tuple[float, float], num_bins: int) -> None:
        super().__init__()
        low, high = symlog(torch.tensor(reward_range, dtype=torch.float32, device="cpu"))
        if high - low < 1e-3:  # a constant reward still needs two distinct bins
            low, high = low - 0.5, high + 0.5
        self.register_buffer("bins", torch.linspace(low.item(), high.item(), num_bins), persistent=False)
        self.logits = nn.Linear(features, num_bins)
        nn.init.zeros_(self.logits.weight)
        nn.init.zeros_(self.logits.bias)

    def forward(self, features: Tensor) -> Tensor:
        """[B,T,F] -> logits [B,T,K]."""
        return self.logits(features)

    def expected(self, logits: Tensor) -> Tensor:
        """Mean reward [B,T] of the predicted distribution."""
        return (logits.softmax(-1) * symexp(self.bins)).sum(-1)

    def loss(self, logits: Tensor, reward: Tensor) -> Tensor:
        """Cross-entropy [B,T] against the true reward [B,T] spread over its two neighbouring bins."""
        width = self.bins[1] - self.bins[0]
        position = ((symlog(reward) - self.bins[0]) / width).clamp(0, len(self.bins) - 1)
        lower = position.floor().long().clamp(max=len(self.bins) - 2)
        share = (position - lower)[..., None]
        log_probability = F.log_softmax(logits, dim=-1)
        below = log_probability.gather(-1, lower[..., None])
        above = log_probability.gather(-1, lower[..., None] + 1)
        return -((1 - share) * below + share * above).squeeze(-1)


def symlog(x: Tensor) -> Tensor:
    """sign(x) log(1 + |x|): compresses large rewards, is the identity near zero."""
    return x.sign() * x.abs().log1p()


def symexp(x: Tensor) -> Tensor:
    """Inverse of symlog."""
    return x.sign() * x.abs().expm1()
