"""How long something took that may run on a GPU, without waiting for the GPU each time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Clock:
    """Adds up the time spent in `running` blocks: on a GPU, from when its stream comes to a block until it leaves it.

    There the time in which the GPU waits for the next kernel of a block counts too, as it does for whoever waits.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._seconds = 0.0
        self._open: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time this block."""
        if not self._on_gpu:
            began = time.perf_counter()
            yield
            self._seconds += time.perf_counter() - began
            return
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        yield
        end.record()
        self._open.append((begin, end))

    def seconds(self) -> float:
        """So far. Waits for the GPU, so ask once per update, not per step."""
        if self._open:
            torch.cuda.synchronize()
            self._seconds += sum(begin.elapsed_time(end) for begin, end in self._open) / 1000
            self._open.clear()
        return self._seconds
