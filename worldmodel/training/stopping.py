"""Ctrl-C and the end of a time budget end a training after a whole step, not in the middle of one."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """While this context is open, Ctrl-C and SIGTERM only set `signalled`, and `due` tells when to stop.

    A process that trains alone is interrupted at once by a second signal; one of several is not, because torchrun
    passes on the Ctrl-C that the terminal has sent already. Outside the main thread signals are left alone.
    """

    def __init__(self, max_minutes: float | None, alone: bool) -> None:
        self.signalled = False
        self._deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
        self._alone = alone
        self._previous: dict[signal.Signals, Any] = {}

    @property
    def due(self) -> bool:
        """Whether a signal has come or the time is up."""
        return self.signalled or (self._deadline is not None and time.monotonic() >= self._deadline)

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signalled and self._alone:
            raise KeyboardInterrupt
        self.signalled = True
