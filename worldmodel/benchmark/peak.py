"""What the machine's matrix product reaches: the measure that shares are given of."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch

from worldmodel.benchmark.timing import seconds_of, torch_threads

_SIZES = {"cpu": 1024, "cuda": 8192}  # large enough for the peak, small enough for a fraction of a second
_MOST_SECONDS = 0.5


@dataclass(frozen=True)
class Peak:
    """GFLOP/s of square matrix products in `dtype` on this many torch threads; the fastest of several."""

    dtype: str
    threads: int
    gflop_per_second: float


def measure_peak(device: torch.device, dtype: torch.dtype, threads: int, seconds: float) -> Peak:
    """Multiply two square matrices for about `seconds`, half a second at most, and keep the fastest time."""
    size = _SIZES.get(device.type, 2048)
    with torch_threads(threads):
        left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        seconds_of(lambda: left @ right, device, 2)
        best, end = math.inf, time.perf_counter() + min(seconds, _MOST_SECONDS)
        while math.isinf(best) or time.perf_counter() < end:
            best = min(best, seconds_of(lambda: left @ right, device, 2) / 2)
    return Peak(str(dtype).removeprefix("torch."), threads, 2 * size**3 / best / 1e9)


def faster(one: Peak, other: Peak) -> Peak:
    """The higher of two measurements of the same peak."""
    return max(one, other, key=lambda peak: peak.gflop_per_second)
