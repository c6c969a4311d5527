"""One browser tab: its session, the socket that is open now, and the files that it may download."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection

from worldmodel.play.conductor import Player
from worldmodel.play.protocol import encode

FILES_KEPT = 4


@dataclass(eq=False)
class Visitor:
    """identity: what a tab names when it comes back; folder: of its files; touched: time.monotonic() of its last
    command; waiting: what could not be said while no socket was open."""

    identity: str
    player: Player
    folder: Path
    socket: ServerConnection | None = None
    touched: float = field(default_factory=time.monotonic)
    files: dict[str, Path] = field(default_factory=dict)
    saving: asyncio.Task[None] | None = None
    waiting: list[dict[str, Any]] = field(default_factory=list)

    def keep(self, path: Path) -> str:
        """A key under which the file can be fetched; the oldest of more than FILES_KEPT is deleted."""
        key = secrets.token_urlsafe(12)
        self.files[key] = path
        while len(self.files) > FILES_KEPT:
            self.files.pop(next(iter(self.files))).unlink(missing_ok=True)
        return key

    def say(self, content: dict[str, Any]) -> None:
        """Now, or to the next socket."""
        self.waiting = [*self.waiting[-FILES_KEPT:], content]
        self.say_what_waits()

    def say_what_waits(self) -> None:
        """If there is a socket."""
        if self.player.outbox is not None:
            for content in self.waiting:
                self.player.outbox.say(encode(content))
            self.waiting = []

    @property
    def is_saving(self) -> bool:
        """Whether a file is being written."""
        return self.saving is not None and not self.saving.done()
