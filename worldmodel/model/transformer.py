"""Block-causal transformer over the small grid: every step's tokens see their own and all earlier steps' tokens.

Shapes: B batch, T time steps, N tokens a step (the grid's cells), S time steps that can be attended, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldmodel.model.conditioning import modulate
from worldmodel.model.memory import Memory


class TransformerBlock(nn.Module):
    """Attention over space and past, then an MLP, both modulated and gated by the step's conditioning (AdaLN-Zero)."""

    def __init__(self, width: int, heads: int, condition_width: int, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.heads = heads
        self.modulation = nn.Linear(condition_width, 6 * width)
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.query_norm = nn.RMSNorm(width // heads)
        self.key_norm = nn.RMSNorm(width // heads)
        self.attention_out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(
        self, x: Tensor, condition: Tensor, rotation: Tensor, mask: Tensor, times: Tensor, memory: Memory | None
    ) -> Tensor:
        """x [B,T,N,W], condition [B,T,E], rotation [B,T,2,head_dim/2], mask bool [B,1,T*N,S*N] -> [B,T,N,W]."""
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = self.modulation(condition)[:, :, None].chunk(6, dim=-1)
        normed = modulate(_layer_norm(x), scale_a, shift_a)
        x = torch.addcmul(x, gate_a, self._attend(normed, rotation, mask, times, memory))
        normed = modulate(_layer_norm(x), scale_m, shift_m)
        return torch.addcmul(x, gate_m, self.mlp(normed))

    def _attend(self, x: Tensor, rotation: Tensor, mask: Tensor, times: Tensor, memory: Memory | None) -> Tensor:
        batch, steps, tokens, width = x.shape
        query, key, value = self.query_key_value(x).unflatten(-1, (3, self.heads, -1)).unbind(dim=3)
        query = rotate(self.query_norm(query), rotation)
        key = rotate(self.key_norm(key), rotation)
        if memory is None:
            keys, values = key.flatten(1, 2), value.flatten(1, 2)
        else:
            keys, values = memory.write(self.layer, times, key, value)
        attended = F.scaled_dot_product_attention(
            query.flatten(1, 2).transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2), attn_mask=mask
        )
        return self.attention_out(attended.transpose(1, 2).reshape(batch, steps, tokens, width))


class ClockRotation(nn.Module):
    """Rotary time positions (Su et al., 2021) on a clock of `period` steps.

    Every frequency is a whole number of turns per period, so the angles of time t and t modulo period are equal and
    a dream may run for any number of steps without its positions losing precision; ages below the window stay
    unambiguous because the period is four times as long.
    """

    frequencies: Tensor

    def __init__(self, head_dim: int, window: int) -> None:
        super().__init__()
        self.period = 4 * window
        turns = torch.logspace(0, 1, head_dim // 2, base=self.period / 2).round()
        self.register_buffer("frequencies", 2 * torch.pi * turns / self.period, persistent=False)

    def forward(self, times: Tensor) -> Tensor:
        """int64 [B,T] -> cos and sin, [B,T,2,head_dim/2]."""
        angle = (times % self.period)[..., None] * self.frequencies
        return torch.stack([angle.cos(), angle.sin()], dim=2)


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Rotate the two halves of each head of x [B,T,N,heads,head_dim] against one another by the step's angles."""
    cos, sin = rotation[:, :, :, None, None].unbind(dim=2)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def _layer_norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])
