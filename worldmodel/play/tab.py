"""One browser tab: its session and clock, the socket that is open now, and the files that it may download."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.websockets import WebSocket

from worldmodel.play.protocol import encode
from worldmodel.play.session import Session
from worldmodel.play.view import frame_message, history_message

# That wait for a reader; more are dropped: who sends faster than it reads has no use for them.
MOST_MESSAGES = 32
FILES_KEPT = 4


class Outbox:
    """What waits to be sent to one socket, however slowly it reads: the newest frame and curves, each in the place of
    the one before, and a few other messages in order. `dropped` counts the frames that were replaced."""

    def __init__(self) -> None:
        self._frame: bytes | None = None
        self._curves: str | None = None
        self._messages: list[str] = []
        self._filled = asyncio.Event()
        self.dropped = 0

    def show(self, frame: bytes, curves: str | None = None) -> None:
        """The newest frame, and before it all curves, where they have changed by more than a step."""
        self.dropped += self._frame is not None
        self._frame = frame
        self._curves = self._curves if curves is None else curves
        self._filled.set()

    def add(self, message: str) -> None:
        """A message that is sent before the next frame."""
        if len(self._messages) < MOST_MESSAGES:
            self._messages.append(message)
            self._filled.set()

    async def messages(self) -> AsyncIterator[str | bytes]:
        """What is to be sent, without end."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._messages:
                yield self._messages.pop(0)
            frame, curves, self._frame, self._curves = self._frame, self._curves, None, None
            if curves is not None:
                yield curves
            if frame is not None:
                yield frame


@dataclass(frozen=True)
class Update:
    """What a socket gets after a step: the frame, and all curves where more than a step has changed."""

    curves: str | None
    frame: bytes


class Tab:
    """identity: what the page names when it comes back; folder: of its files; touched: time.monotonic() of its last
    command; saving: the file that is being written."""

    def __init__(self, identity: str, session: Session, folder: Path) -> None:
        self.identity, self.session, self.folder = identity, session, folder
        self.socket: WebSocket | None = None
        self.outbox: Outbox | None = None
        self.touched = time.monotonic()
        self.files: dict[str, Path] = {}
        self.saving: asyncio.Task[None] | None = None
        self._undelivered: list[dict[str, Any]] = []
        self._sent_epoch = -1
        self._due = 0.0
        self._key_changed = False
        self.lock = asyncio.Lock()  # held while the session is changed or its agent is asked: never both

    # The socket.

    def attach(self, socket: WebSocket | None, outbox: Outbox | None) -> None:
        """A socket has come, or gone; a new one has seen nothing yet."""
        self.socket, self.outbox, self._sent_epoch = socket, outbox, -1
        self.touched = time.monotonic()

    def update(self) -> Update:
        """What the socket has not seen. Runs in the model's thread, where nothing changes meanwhile."""
        curves = None
        if self._sent_epoch != self.session.epoch:
            curves, self._sent_epoch = encode(history_message(self.session)), self.session.epoch
        return Update(curves, frame_message(self.session))

    def show(self, update: Update) -> None:
        """To the socket, if there is one."""
        if self.outbox is not None:
            self.outbox.show(update.frame, update.curves)

    def say(self, **content: Any) -> None:
        """To the socket, if there is one."""
        if self.outbox is not None:
            self.outbox.add(encode(content))

    def complain(self, sentence: str) -> None:
        """Something went wrong."""
        self.say(type="error", message=sentence)

    def deliver(self, **content: Any) -> None:
        """To this socket, or the next one, as files are written while none may be there."""
        self._undelivered = [*self._undelivered[-FILES_KEPT:], content]
        self.say_undelivered()

    def say_undelivered(self) -> None:
        """If there is a socket."""
        if self.outbox is not None:
            for content in self._undelivered:
                self.say(**content)
            self._undelivered = []

    # Files.

    def keep(self, path: Path) -> str:
        """A key under which the file can be fetched; the oldest of more than FILES_KEPT is deleted."""
        key = secrets.token_urlsafe(12)
        self.files[key] = path
        while len(self.files) > FILES_KEPT:
            self.files.pop(next(iter(self.files))).unlink(missing_ok=True)
        return key

    @property
    def is_saving(self) -> bool:
        """Whether a file is being written."""
        return self.saving is not None and not self.saving.done()

    # The clock.

    @property
    def period(self) -> float:
        """Seconds between frames."""
        speed = self.session.speed
        return 1 / (self.session.world.fps * speed) if speed else 0.0

    def hurry(self) -> None:
        """A key went down or up: the next frame is owed at once. Its place on the clock is used up by that, so time
        does not run faster; of two keys within one period, the second waits for the period's end."""
        self._key_changed = True

    def due(self) -> float | None:
        """The time.monotonic() of its next step; None while it waits for something else."""
        if self.outbox is None or self.lock.locked() or not self.session.running:
            return None
        return self._due - self.period if self._key_changed else self._due

    def stepped(self, now: float) -> None:
        """Set the clock on; it never catches up."""
        self._key_changed = False
        self._due = max(self._due, now - self.period / 2) + self.period
