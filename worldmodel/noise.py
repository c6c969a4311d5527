"""Chance in dreams, which depends on a dream's own seed and step alone, and in training, shared out over processes."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
    bits = _bits(seed, step, pairs)
    # 24 bits each: exact in float32, never 0 or 1.
    high = _logical_shift(bits, 40).float().add_(0.5).mul_(2.0**-24)
    low = (bits & 0xFFFFFF).float().mul_(2.0 * math.pi * 2.0**-24)
    radius = high.log_().mul_(-2.0).sqrt_()
    normal = torch.cat([radius * low.cos(), radius * low.sin()], dim=1)
    return normal[:, :count].reshape(len(seed), *shape)


def counter_uniform(seed: Tensor, step: Tensor) -> Tensor:
    """Uniform in [0, 1), float32 [B], a pure function of (seed, step) as `counter_normal`, and independent of it."""
    return _logical_shift(_bits(~seed, step, 1)[:, 0], 40).float().mul_(2.0**-24)


def _bits(seed: Tensor, step: Tensor, count: int) -> Tensor:
    """int64 [B, count] of 64 random bits each."""
    key = _mix(_mix(seed) + step * _GOLDEN)
    return _mix(key[:, None] + torch.arange(1, count + 1, device=seed.device) * _GOLDEN)


def _mix(value: Tensor) -> Tensor:
    """The SplitMix64 finaliser; int64 multiplication wraps modulo 2**64."""
    value = (value ^ _logical_shift(value, 30)) * _MIX_1
    value = (value ^ _logical_shift(value, 27)) * _MIX_2
    return value ^ _logical_shift(value, 31)


def _logical_shift(value: Tensor, bits: int) -> Tensor:
    return (value >> bits) & ((1 << (64 - bits)) - 1)


@dataclass(frozen=True)
class BatchNoise:
    """Random numbers for a batch of clips, of which this process holds number rank, rank + world, rank + 2 world, ...

    Every process draws for the whole batch from a generator seeded alike and keeps the numbers of its own clips: N
    processes train on exactly the noise that one would. Tensors are on the generator's device.
    """

    generator: torch.Generator
    rank: int = 0
    world: int = 1

    def normal(self, clips: int, *shape: int) -> Tensor:
        """Standard normal [B, *shape], for the B of the whole batch's `clips` clips that are held here."""
        drawn = torch.randn((clips, *shape), generator=self.generator, device=self.generator.device)
        return drawn[self.rank :: self.world]

    def uniform(self, clips: int, *shape: int) -> Tensor:
        """Uniform in [0, 1), as `normal`."""
        drawn = torch.rand((clips, *shape), generator=self.generator, device=self.generator.device)
        return drawn[self.rank :: self.world]


def seeded_generator(seed: int, step: int, stream: int, device: torch.device) -> torch.Generator:
    """A generator for this (seed, step, stream): what a step draws does not depend on the steps before it."""
    generator = torch.Generator(device)
    key = ((seed * 1_000_003 + step) * 1_000_003 + stream) % (1 << 63)
    return generator.manual_seed(key)
