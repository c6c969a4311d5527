"""Sampling as a pure function of (denoise, noise, schedule)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from worldmodel.errors import WorldModelError
from worldmodel.model.network import Prediction


def noise_schedule(scheduler: FlowMatchEulerDiscreteScheduler, num_inference_steps: int) -> tuple[float, ...]:
    """The scheduler's noise levels for this many passes, from 1 (pure noise) down to the final 0.

    Levels start evenly spaced, 1, (n-1)/n, ..., 1/n, 0, and pass through the scheduler's own shift, if it has one. The
    spacing is given because the scheduler's own default puts its last level next to 0, which would waste a pass.
    Raises WorldModelError for less than one pass.
    """
    if num_inference_steps < 1:
        raise WorldModelError(f"num_inference_steps is {num_inference_steps}, expected at least 1.")
    return _noise_schedule(scheduler, num_inference_steps, scheduler.shift)


@lru_cache(maxsize=64)
def _noise_schedule(
    scheduler: FlowMatchEulerDiscreteScheduler, num_inference_steps: int, shift: float
) -> tuple[float, ...]:
    """Remembered, because it is asked for at every step; `shift` is what a scheduler lets be set anew."""
    levels = [1 - i / num_inference_steps for i in range(num_inference_steps)]
    scheduler.set_timesteps(sigmas=levels)
    return tuple(scheduler.sigmas.tolist())


def euler_sample(
    denoise: Callable[[Tensor, float], Prediction], noise: Tensor, sigmas: Sequence[float]
) -> tuple[Prediction, Tensor]:
    """Euler steps of the flow ODE dz/dsigma = (z - x) / sigma; FlowMatchEulerDiscreteScheduler.step, without its state.

    Returns the last pass's prediction, whose frame is the sample because the final level is 0, and how far the last
    two estimates of it differ: mean absolute difference per member [B], NaN after a single pass.
    """
    z, previous = noise, None
    for sigma, next_sigma in pairwise(sigmas):
        prediction = denoise(z, sigma)
        estimate = prediction.frame
        z = torch.lerp(estimate, z, next_sigma / sigma)
        spread = (
            noise.new_full((len(noise),), torch.nan) if previous is None else _distance(estimate, previous)
        )
        previous = estimate
    return prediction, spread


def _distance(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs().flatten(1).mean(dim=1)
