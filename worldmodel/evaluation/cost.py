"""What an imagined step costs here and now, beside a step of the real environment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from worldmodel.errors import EnvError
from worldmodel.model.world_model import DreamState, WorldModel
from worldmodel.progress import progress
from worldmodel.real_env import EnvConfig
from worldmodel.spaces import ActionCodec

BATCHES = (1, 8, 32)
WARM_UP_STEPS = 5
MIN_STEPS = 20  # below, a 95th percentile means nothing


@dataclass(frozen=True)
class Speed:
    """One measurement: `batch` dreams stepped together on this many torch threads, `steps` times.

    latency: of a step of the whole batch, in milliseconds, median and 95th percentile; frames_per_second: of all dreams
    together.
    """

    batch: int
    threads: int
    steps: int
    latency_p50_ms: float
    latency_p95_ms: float
    frames_per_second: float


@dataclass(frozen=True)
class Cost:
    """speeds: of the dream; passes: through the network per step; gflop_per_frame: at batch 1, counted by torch, a
    multiply-add as two; real_frames_per_second: of the real environment drawn at the same size in one process, resets
    included, or None with the reason."""

    device: str
    parameters: int
    passes: int
    gflop_per_frame: float
    speeds: list[Speed]
    real_frames_per_second: float | None
    real_reason: str = ""

    def speed(self, batch: int, threads: int) -> Speed:
        """The measurement at this batch size and number of threads."""
        return next(item for item in self.speeds if (item.batch, item.threads) == (batch, threads))

    @property
    def threads(self) -> list[int]:
        """The numbers of threads that were tried, ascending."""
        return sorted({item.threads for item in self.speeds})


def measure_cost(model: WorldModel, seconds: float = 1.0) -> Cost:
    """Time the dream at each batch size for about `seconds`, on one thread and on all, then the real environment."""
    threads = sorted({1, torch.get_num_threads()})
    cases = [(batch, count) for count in threads for batch in BATCHES]
    speeds = [
        _speed(model, batch, count, seconds)
        for batch, count in progress(cases, desc="timing the dream", unit="case")
    ]
    rate, reason = _real_rate(model.world.env, seconds)
    return Cost(
        device=str(model.device),
        parameters=sum(parameter.numel() for parameter in model.network.parameters()),
        passes=model.num_inference_steps,
        gflop_per_frame=count_gflop(model),
        speeds=speeds,
        real_frames_per_second=rate,
        real_reason=reason,
    )


def count_gflop(model: WorldModel) -> float:
    """GFLOP of one imagined step at batch 1."""
    step = _stepper(model, 1)
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() / 1e9


def _speed(model: WorldModel, batch: int, threads: int, seconds: float) -> Speed:
    with torch_threads(threads):
        times = np.array(_times(model, _stepper(model, batch), seconds))
    median, slow = np.quantile(times, [0.5, 0.95]) * 1e3
    return Speed(
        batch, threads, len(times), float(median), float(slow), float(batch * len(times) / times.sum())
    )


def _times(model: WorldModel, step: Callable[[], object], seconds: float) -> list[float]:
    """Wall-clock seconds of single steps, for `seconds` in all and at least MIN_STEPS, once warm."""
    for _ in range(WARM_UP_STEPS):
        step()
    times: list[float] = []
    while sum(times) < seconds or len(times) < MIN_STEPS:
        _wait(model.device)
        start = time.perf_counter()
        step()
        _wait(model.device)
        times.append(time.perf_counter() - start)
    return times


def _stepper(model: WorldModel, batch: int) -> Callable[[], object]:
    state = _begin(model, batch)
    action = torch.zeros(batch, model.world.codec.size, device=model.device)
    return lambda: model.step(state, action)


def _begin(model: WorldModel, batch: int) -> DreamState:
    contexts = model.contexts.select(torch.arange(batch) % len(model.contexts))
    return model.begin(contexts.frames, contexts.actions, torch.arange(batch))


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _real_rate(config: EnvConfig, seconds: float) -> tuple[float | None, str]:
    try:
        env = config.make()
    except EnvError as error:
        return None, str(error)
    codec = ActionCodec(env.action_space)
    rng = np.random.default_rng(0)
    actions = [codec.restore(codec.decode(row)) for row in rng.uniform(-1, 1, size=(64, codec.size))]
    try:
        env.reset(seed=0)
        start, steps = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            _, _, terminated, truncated, _ = env.step(actions[steps % len(actions)])
            steps += 1
            if terminated or truncated:
                env.reset()
        return steps / (time.perf_counter() - start), ""
    finally:
        env.close()


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Run the block on `count` torch threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
