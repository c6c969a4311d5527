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

    def __init__(self, width: int, heads: int, condition_width: int, layer: int, window: int) -> None:
        super().__init__()
        self.layer = layer
        self.window = window
        self.heads = heads
        self.modulation = nn.Linear(condition_width, 6 * width)
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.query_norm = nn.RMSNorm(width // heads)
        self.key_norm = nn.RMSNorm(width // heads)
        self.attention_out = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(
        self, x: Tensor, condition: Tensor, rotation: Tensor, times: Tensor, memory: Memory | None
    ) -> Tensor:
        """x [B,T,N,W], condition [B,T,E], rotation [B,T,2,head_dim/2], times [B,T] -> [B,T,N,W]."""
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = self.modulation(condition)[:, :, None].chunk(
            6, dim=-1
        )
        normed = modulate(_layer_norm(x), scale_a, shift_a)
        x = torch.addcmul(x, gate_a, self._attend(normed, rotation, times, memory))
        normed = modulate(_layer_norm(x), scale_m, shift_m)
        return torch.addcmul(x, gate_m, self.mlp(normed))

    def _attend(self, x: Tensor, rotation: Tensor, times: Tensor, memory: Memory | None) -> Tensor:
        query, key, value = self.query_key_value(x).unflatten(-1, (3, self.heads, -1)).unbind(dim=3)
        query = rotate(self.query_norm(query), rotation)
        key = rotate(self.key_norm(key), rotation)
        if memory is None:
            attended = attend_clip(query, key, value, self.window)
        else:
            keys, values = memory.write(self.layer, times, key, value)
            attended = attend_memory(query, keys, values, memory.visible(times, self.window))
        return self.attention_out(attended.flatten(-2))


def attend_clip(query: Tensor, key: Tensor, value: Tensor, window: int) -> Tensor:
    """Every step of a clip attends to itself and the window-1 steps before it; all [B,T,N,heads,head_dim].

    One call a step needs no mask and computes no score that the mask would discard: on a CPU a third faster than one
    masked call over the clip, and on a GPU it keeps the fastest kernel.
    """
    outputs = []
    for step in range(query.shape[1]):
        seen = slice(max(0, step - window + 1), step + 1)
        outputs.append(_attention(query[:, step], key[:, seen].flatten(1, 2), value[:, seen].flatten(1, 2)))
    return torch.stack(outputs, dim=1)


def attend_memory(query: Tensor, keys: Tensor, values: Tensor, visible: Tensor) -> Tensor:
    """query [B,T,N,heads,head_dim] over a memory's keys and values [B,S*N,heads,head_dim]; visible bool [B,T,S]."""
    steps, count = query.shape[1:3]
    mask = visible.repeat_interleave(count, 1).repeat_interleave(keys.shape[1] // visible.shape[2], 2)
    return _attention(query.flatten(1, 2), keys, values, mask[:, None]).unflatten(1, (steps, count))


def _attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention with the heads behind the tokens: [B,L,heads,head_dim] over [B,M,heads,head_dim]."""
    query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2)


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
