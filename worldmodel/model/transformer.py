"""Block-causal transformer over the small grid: every step's tokens see their own and all earlier steps' tokens.

Shapes: B batch, T time steps, N tokens a step (the grid's cells), S time steps that can be attended, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldmodel.model.conditioning import modulate
from worldmodel.model.memory import Memory, visible_steps


class SpacetimeBlock(nn.Module):
    """Attention over space, attention over time, then an MLP; each modulated and gated by the step's conditioning
    (AdaLN-Zero; Peebles and Xie, 2023). Space and time apart (as in Genie; Bruce et al., 2024) cost N + S scores a
    token instead of N * S, so that a long memory is nearly free."""

    def __init__(self, width: int, heads: int, condition_width: int, layer: int, window: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(condition_width, 9 * width)
        self.space = SpatialAttention(width, heads)
        self.time = TemporalAttention(width, heads, layer, window)
        self.mlp = _mlp(width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(
        self, x: Tensor, condition: Tensor, rotation: Tensor, times: Tensor, memory: Memory | None
    ) -> Tensor:
        """x [B,T,N,W], condition [B,T,E], rotation [B,T,2,head_dim/2], times [B,T] -> [B,T,N,W]."""
        parts = self.modulation(condition)[:, :, None].chunk(9, dim=-1)
        x = torch.addcmul(x, parts[2], self.space(_modulated_norm(x, parts[0], parts[1])))
        x = torch.addcmul(
            x, parts[5], self.time(_modulated_norm(x, parts[3], parts[4]), rotation, times, memory)
        )
        return torch.addcmul(x, parts[8], self.mlp(_modulated_norm(x, parts[6], parts[7])))


class JointBlock(nn.Module):
    """One attention over space and time together, then an MLP: every token of a step sees every token of the window."""

    def __init__(self, width: int, heads: int, condition_width: int, layer: int, window: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(condition_width, 6 * width)
        self.spacetime = JointAttention(width, heads, layer, window)
        self.mlp = _mlp(width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(
        self, x: Tensor, condition: Tensor, rotation: Tensor, times: Tensor, memory: Memory | None
    ) -> Tensor:
        """Shapes as SpacetimeBlock.forward."""
        parts = self.modulation(condition)[:, :, None].chunk(6, dim=-1)
        x = torch.addcmul(
            x, parts[2], self.spacetime(_modulated_norm(x, parts[0], parts[1]), rotation, times, memory)
        )
        return torch.addcmul(x, parts[5], self.mlp(_modulated_norm(x, parts[3], parts[4])))


class Attention(nn.Module):
    """Projections of multi-head attention, with normalised queries and keys (QK-norm; Dehghani et al., 2023)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.scale = nn.Parameter(torch.ones(width // heads))
        self.out = nn.Linear(width, width)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B,T,N,W] -> query, key, value [B,T,N,heads,head_dim]."""
        query, key, value = self.query_key_value(x).unflatten(-1, (3, self.heads, -1)).unbind(dim=3)
        size = query.shape[-1:]
        return F.rms_norm(query, size) * self.scale.to(query.dtype), F.rms_norm(key, size), value


class SpatialAttention(Attention):
    """The tokens of one step attend to one another."""

    def forward(self, x: Tensor) -> Tensor:
        """[B,T,N,W] -> [B,T,N,W]."""
        query, key, value = (part.flatten(0, 1) for part in self.project(x))
        return self.out(_attention(query, key, value).flatten(-2).view(x.shape))


class TemporalAttention(Attention):
    """Every cell of the grid attends to itself at this and the earlier steps of the window."""

    def __init__(self, width: int, heads: int, layer: int, window: int) -> None:
        super().__init__(width, heads)
        self.layer, self.window = layer, window

    def forward(self, x: Tensor, rotation: Tensor, times: Tensor, memory: Memory | None) -> Tensor:
        """[B,T,N,W] -> [B,T,N,W]."""
        query, key, value = self.project(x)
        query, key = rotate(query, rotation), rotate(key, rotation)
        if memory is None:
            visible = visible_steps(times, times, self.window)
        else:
            key, value = memory.write(self.layer, times, key, value)
            visible = memory.visible(times)
        return self.out(self.attend(query, key, value, visible).flatten(-2))

    def attend(self, query: Tensor, key: Tensor, value: Tensor, visible: Tensor) -> Tensor:
        """As attend_cells."""
        return attend_cells(query, key, value, visible)


class JointAttention(TemporalAttention):
    """Every token of a step attends to all tokens of this and the earlier steps of the window."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, visible: Tensor) -> Tensor:
        """As attend_grids."""
        return attend_grids(query, key, value, visible)


def attend_cells(query: Tensor, key: Tensor, value: Tensor, visible: Tensor) -> Tensor:
    """query [B,T,N,heads,head_dim], key and value [B,S,N,heads,head_dim], visible bool [B,T,S] -> as query.

    Written out: a fused kernel gains nothing on so few keys, and the many tiny problems cost it its overhead."""
    query = query.permute(0, 2, 3, 1, 4) * query.shape[-1] ** -0.5  # [B,N,heads,T,head_dim]
    scores = query @ key.permute(0, 2, 3, 4, 1)
    scores = scores.masked_fill(~visible[:, None, None], -torch.inf)
    return (scores.softmax(-1).to(value.dtype) @ value.permute(0, 2, 3, 1, 4)).permute(0, 3, 1, 2, 4)


def attend_grids(query: Tensor, key: Tensor, value: Tensor, visible: Tensor) -> Tensor:
    """Shapes as attend_cells; every token of a step attends to all tokens of the steps it may see."""
    steps, count = query.shape[1:3]
    mask = visible.repeat_interleave(count, 1).repeat_interleave(key.shape[2], 2)
    attended = _attention(query.flatten(1, 2), key.flatten(1, 2), value.flatten(1, 2), mask[:, None])
    return attended.unflatten(1, (steps, count))


def _attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention with the heads behind the tokens: [B,L,heads,head_dim] over [B,M,heads,head_dim]."""
    query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
    if query.is_cuda:
        return fused_attention(query, key, value, mask).transpose(1, 2)
    # Written out: the CPU's fused kernel takes seven times as long backward on so few tokens.
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return (scores.softmax(-1).to(value.dtype) @ value).transpose(1, 2)


def fused_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """As F.scaled_dot_product_attention of [B,heads,L,head_dim] with mask [B,1,L,M], however large B is: CUDA's kernels
    refuse more than 65,535."""
    if len(query) < 1 << 16:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    masks = (None, None) if mask is None else mask.chunk(2)
    halves = zip(query.chunk(2), key.chunk(2), value.chunk(2), masks, strict=True)
    return torch.cat([fused_attention(*half) for half in halves])


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
    cos, sin = rotation[:, :, :, None, None].to(x.dtype).unbind(dim=2)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def _modulated_norm(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return modulate(F.layer_norm(x, x.shape[-1:]), scale, shift)


def _mlp(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))
