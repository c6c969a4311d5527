"""Counter-based noise: what one environment dreams depends on its own seed and step, never on its neighbours."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)  # 64-bit constants as the signed integers torch works with
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)


def counter_normal(seed: Tensor, step: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Standard normal noise [B, *shape], a pure function of (seed, step) for each member of the batch.

    seed, step: int64 [B]. Uniform bits come from SplitMix64 (Steele, Lea and Flood, 2014) over a counter keyed by
    seed and step, normals from the Box-Muller transform. There is no generator state to save: a snapshot of (seed,
    step) is a snapshot of the stream, and resetting one environment cannot move another's.
    """
    count = math.prod(shape)
    pairs = (count + 1) // 2
    key = _mix(_mix(seed) + step * _GOLDEN)
    bits = _mix(key[:, None] + torch.arange(1, pairs + 1, device=seed.device) * _GOLDEN)
    high = (
        _logical_shift(bits, 40).float().add_(0.5).mul_(2.0**-24)
    )  # 24 bits each: exact in float32, never 0 or 1
    low = (bits & 0xFFFFFF).float().mul_(2.0 * math.pi * 2.0**-24)
    radius = high.log_().mul_(-2.0).sqrt_()
    normal = torch.cat([radius * low.cos(), radius * low.sin()], dim=1)
    return normal[:, :count].reshape(len(seed), *shape)


def _mix(value: Tensor) -> Tensor:
    """The SplitMix64 finaliser; int64 multiplication wraps modulo 2**64."""
    value = (value ^ _logical_shift(value, 30)) * _MIX_1
    value = (value ^ _logical_shift(value, 27)) * _MIX_2
    return value ^ _logical_shift(value, 31)


def _logical_shift(value: Tensor, bits: int) -> Tensor:
    return (value >> bits) & ((1 << (64 - bits)) - 1)
