"""Wall-clock times of repeated steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

WARM_UP_STEPS = 3
MIN_STEPS = 20  # below, a 95th percentile means nothing


def times_of(step: Callable[[], object], device: torch.device, seconds: float) -> np.ndarray:
    """Seconds of single steps, each waited for, once warm: for `seconds` in all and at least MIN_STEPS of them."""
    for _ in range(WARM_UP_STEPS):
        step()
    times: list[float] = []
    spent = 0.0
    while spent < seconds or len(times) < MIN_STEPS:
        times.append(seconds_of(step, device))
        spent += times[-1]
    return np.array(times)


def seconds_of(step: Callable[[], object], device: torch.device, repeats: int = 1) -> float:
    """Seconds of `repeats` steps in a row, from an idle device until it is idle again."""
    wait(device)
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    wait(device)
    return time.perf_counter() - start


def wait(device: torch.device) -> None:
    """Until the device has done all it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Run the block on `count` torch threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
