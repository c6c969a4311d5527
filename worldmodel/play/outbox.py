"""What waits to be sent to one socket: the newest frame and curves and a few words, however slowly it reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

MOST_WORDS = 32  # messages that wait; more are not kept: who sends faster than it reads has no use for them


class Outbox:
    """Frames replace one another, and so do curves; other messages wait in order.

    `dropped` counts the frames that were replaced."""

    def __init__(self) -> None:
        self._frame: bytes | None = None
        self._curves: str | None = None
        self._words: list[str] = []
        self._something = asyncio.Event()
        self.dropped = 0

    def show(self, frame: bytes, curves: str | None = None) -> None:
        """The newest frame, and before it the newest curves, where all of them have changed."""
        self.dropped += self._frame is not None
        self._frame = frame
        self._curves = self._curves if curves is None else curves
        self._something.set()

    def say(self, words: str) -> None:
        """A message that is sent before the next frame."""
        if len(self._words) < MOST_WORDS:
            self._words.append(words)
            self._something.set()

    async def messages(self) -> AsyncIterator[str | bytes]:
        """What is to be sent, as long as somebody asks."""
        while True:
            await self._something.wait()
            self._something.clear()
            while self._words:
                yield self._words.pop(0)
            frame, curves, self._frame, self._curves = self._frame, self._curves, None, None
            if curves is not None:
                yield curves
            if frame is not None:
                yield frame
