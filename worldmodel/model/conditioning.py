"""What a time step is told besides pixels: its noise levels and its action."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Conditioning(nn.Module):
    """(sigma, past_sigma, action) -> one vector per time step, from which every layer takes its scale and shift."""

    def __init__(self, action_dim: int, width: int) -> None:
        super().__init__()
        self.sigma = NoiseLevelEmbedding(width)
        self.past_sigma = NoiseLevelEmbedding(width)
        self.action = nn.Linear(action_dim, width)
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU())

    def forward(self, sigma: Tensor, past_sigma: Tensor, action: Tensor) -> Tensor:
        """sigma, past_sigma [B,T] in [0,1]; action [B,T,D] as encoded by ActionCodec -> [B,T,width]."""
        return self.mix(self.sigma(sigma) + self.past_sigma(past_sigma) + self.action(action))


class NoiseLevelEmbedding(nn.Module):
    """Fourier features of sigma in [0, 1] followed by a linear layer."""

    frequencies: Tensor

    def __init__(self, width: int, num_frequencies: int = 16) -> None:
        super().__init__()
        frequencies = math.pi * torch.logspace(0, math.log2(100), num_frequencies, base=2.0)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.project = nn.Linear(2 * num_frequencies, width)

    def forward(self, sigma: Tensor) -> Tensor:
        """[B,T] -> [B,T,width]."""
        angle = sigma[..., None] * self.frequencies
        return self.project(torch.cat([angle.sin(), angle.cos()], dim=-1))
