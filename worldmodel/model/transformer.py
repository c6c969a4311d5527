"""Block-causal transformer over the small grid: every step's tokens see their own and all earlier steps' tokens.

Shapes: B batch, T time steps, N tokens a step (the grid's cells), S time steps that can be attended, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldmodel.model.fused import modulate, multiply_add, normalised_heads
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
        x = multiply_add(x, self.space(_modulated_norm(x, parts[0], parts[1])), parts[2])
        x = multiply_add(
            x, self.time(_modulated_norm(x, parts[3], parts[4]), rotation, times, memory), parts[5]
        )
        return multiply_add(x, self.mlp(_modulated_norm(x, parts[6], parts[7])), parts[8])


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
        x = multiply_add(
            x, self.spacetime(_modulated_norm(x, parts[0], parts[1]), rotation, times, memory), parts[2]
        )
        return multiply_add(x, self.mlp(_modulated_norm(x, parts[3], parts[4])), parts[5])


class Attention(nn.Module):
    """Projections of multi-head attention, with normalised queries and keys (QK-norm; Dehghani et al., 2023)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.scale = nn.Parameter(torch.ones(width // heads))
        self.out = nn.Linear(width, width)

    def project(self, x: Tensor) -> Tensor:
        """[B,T,N,W] -> query, key and value as one [3,B,T,N,heads,head_dim]."""
        return self.query_key_value(x).unflatten(-1, (3, self.heads, -1)).movedim(3, 0)

    def query_scale(self) -> Tensor:
        """What a normalised query is multiplied by, [head_dim]: the learnt scale and 1 / sqrt(head_dim)."""
        return self.scale * len(self.scale) ** -0.5


class SpatialAttention(Attention):
    """The tokens of one step attend to one another."""

    def forward(self, x: Tensor) -> Tensor:
        """[B,T,N,W] -> [B,T,N,W]."""
        query, key, value = normalised_heads(self.project(x).flatten(1, 2).transpose(2, 3))
        attended = _attention(query * self.query_scale().to(query.dtype), key, value)
        return self.out(attended.transpose(1, 2).flatten(-2).view(x.shape))


class TemporalAttention(Attention):
    """Every cell of the grid attends to itself at this and the earlier steps of the window."""

    def __init__(self, width: int, heads: int, layer: int, window: int) -> None:
        super().__init__(width, heads)
        self.layer, self.window = layer, window

    def forward(self, x: Tensor, rotation: Tensor, times: Tensor, memory: Memory | None) -> Tensor:
        """[B,T,N,W] -> [B,T,N,W]."""
        query, key, value = normalised_heads(self.project(x))
        query, key = rotate(query, self.query_scale()[:, None] * rotation), rotate(key, rotation)
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
    """query [B,T,N,heads,head_dim], scaled; key, value [B,S,N,heads,head_dim]; visible bool [B,T,S] -> as query.

    Written out: a fused kernel gains nothing on so few keys, and the many tiny problems cost it its overhead. The
    softmax is over the last dimension but one: over rows as short as these it takes a third of the time there."""
    scores = key.permute(0, 2, 3, 1, 4) @ query.permute(0, 2, 3, 4, 1)  # [B,N,heads,S,T]
    hidden = torch.where(visible.mT[:, None, None], 0.0, -torch.inf)
    weights = (scores + hidden).softmax(-2).to(value.dtype)
    return (weights.mT @ value.permute(0, 2, 3, 1, 4)).permute(0, 3, 1, 2, 4)


def attend_grids(query: Tensor, key: Tensor, value: Tensor, visible: Tensor) -> Tensor:
    """Shapes as attend_cells; every token of a step attends to all tokens of the steps it may see."""
    steps, count = query.shape[1:3]
    mask = visible.repeat_interleave(count, 1).repeat_interleave(key.shape[2], 2)
    query, key, value = (part.flatten(1, 2).transpose(1, 2) for part in (query, key, value))
    return _attention(query, key, value, mask[:, None]).transpose(1, 2).unflatten(1, (steps, count))


def _attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Dot-product attention of scaled queries [B,heads,L,head_dim] over [B,heads,M,head_dim]."""
    if query.is_cuda:
        return fused_attention(query, key, value, mask)
    # Written out: the CPU's fused kernel takes seven times as long backward on so few tokens.
    scores = query @ key.mT
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1).to(value.dtype) @ value


def fused_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """As F.scaled_dot_product_attention of scaled queries [B,heads,L,head_dim] with mask [B,1,L,M], however large B is:
    CUDA's kernels refuse more than 65,535."""
    if len(query) < 1 << 16:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=1.0)
    masks = (None, None) if mask is None else mask.chunk(2)
    halves = zip(query.chunk(2), key.chunk(2), value.chunk(2), masks, strict=True)
    return torch.cat([fused_attention(*half) for half in halves])


class ClockRotation(nn.Module):
    """Rotary time positions (Su et al., 2021) on a clock of `period` steps.

    Every frequency is a whole number of turns per period, so the angles of time t and t modulo period are equal and
    a dream may run for any number of steps without its positions losing precision; ages below the window stay
    unambiguous because the period is four times as long.
    """

    matrices: Tensor

    def __init__(self, head_dim: int, window: int) -> None:
        super().__init__()
        self.period = 4 * window
        turns = torch.logspace(0, 1, head_dim // 2, base=self.period / 2).round()
        angle = torch.arange(self.period)[:, None] * (2 * torch.pi * turns / self.period)
        cos, sin = angle.cos().diag_embed(), angle.sin().diag_embed()
        matrices = torch.cat([torch.cat([cos, sin], dim=2), torch.cat([-sin, cos], dim=2)], dim=1)
        self.register_buffer("matrices", matrices, persistent=False)

    def forward(self, times: Tensor) -> Tensor:
        """int64 [B,T] -> rotation matrices [B,T,head_dim,head_dim], which a head is multiplied by from the right."""
        return self.matrices[times % self.period]


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Multiply the heads of x [B,T,N,heads,head_dim] by their step's matrix [B,T,head_dim,head_dim]."""
    batch, steps, tokens, heads, _ = x.shape
    return (x.flatten(2, 3) @ rotation.to(x.dtype)).view(batch, steps, tokens, heads, -1)


def _modulated_norm(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return modulate(F.layer_norm(x, x.shape[-1:]), scale, shift)


def _mlp(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))
