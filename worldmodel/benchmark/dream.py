"""How fast a world model dreams at one batch size, and which batch size is the best."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from worldmodel.benchmark.memory import PeakMemory
from worldmodel.benchmark.timing import seconds_of, times_of, torch_threads
from worldmodel.model.state import DreamState
from worldmodel.model.world_model import WorldModel

LEAST_GAIN = 1.05  # a doubled batch that is not this much faster is no gain
PATIENCE = 2  # doublings without gain in a row, because one may only hit an unlucky shape


@dataclass(frozen=True)
class Speed:
    """One measurement: `batch` dreams stepped together on this many torch threads, `steps` times.

    latency: of a step of the whole batch, in milliseconds, median and 95th percentile; frames_per_second: of all dreams
    together; peak_bytes: the most memory in use meanwhile (see PeakMemory).
    """

    batch: int
    threads: int
    steps: int
    latency_p50_ms: float
    latency_p95_ms: float
    frames_per_second: float
    peak_bytes: int = 0


def measure_speed(model: WorldModel, batch: int, threads: int, seconds: float) -> Speed:
    """Step `batch` dreams for about `seconds`, once warm."""
    with torch_threads(threads):
        memory = PeakMemory(model.device)
        step = stepper(model, batch)
        times = times_of(step, model.device, seconds)
        spent = float(times.sum())
        if model.device.type != "cpu":  # waiting after every step would leave a GPU idle between them
            spent = seconds_of(step, model.device, len(times))
    median, slow = np.quantile(times, [0.5, 0.95]) * 1e3
    rate = batch * len(times) / spent
    return Speed(batch, threads, len(times), float(median), float(slow), rate, memory.bytes())


def stepper(model: WorldModel, batch: int) -> Callable[[], object]:
    """A function that steps the same `batch` dreams on and on."""
    state = begin(model, batch)
    action = torch.zeros(batch, model.world.codec.size, device=model.device)
    return lambda: model.step(state, action)


def begin(model: WorldModel, batch: int) -> DreamState:
    """`batch` dreams from the checkpoint's contexts, in turn."""
    contexts = model.contexts.select(torch.arange(batch) % len(model.contexts))
    return model.begin(contexts.frames, contexts.actions, torch.arange(batch))


def double_until_flat(measure: Callable[[int], Speed], first: int = 1) -> list[Speed]:
    """Measure batches of `first`, twice as many, and so on, until throughput stops growing or one fails: memory ends,
    or a kernel takes no more; why is printed."""
    speeds: list[Speed] = []
    batch, best, idle = first, 0.0, 0
    while idle < PATIENCE:
        try:
            speeds.append(measure(batch))
        except RuntimeError as error:
            if not speeds:
                raise
            print(f"{batch} dreams at once failed: {str(error).splitlines()[0]}", file=sys.stderr)
            break
        rate = speeds[-1].frames_per_second
        idle = 0 if rate > LEAST_GAIN * best else idle + 1
        best = max(best, rate)
        batch *= 2
    return speeds
