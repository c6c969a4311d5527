"""What waits to be sent to one socket: never more than the newest frame and a few words, however slowly it reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

MOST_WORDS = 32  # messages that wait; more are not kept: who sends faster than it reads has no use for them


class Outbox:
    """Frames replace one another; other messages wait in order. `dropped` counts the frames that were replaced."""

    def __init__(self) -> None:
        self._frame: bytes | None = None
        self._words: list[str] = []
        self._something = asyncio.Event()
        self.dropped = 0

    def show(self, frame: bytes) -> None:
        """The newest frame."""
        self.dropped += self._frame is not None
        self._frame = frame
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
            if (frame := self._frame) is not None:
                self._frame = None
                yield frame
