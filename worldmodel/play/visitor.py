"""One browser tab: its session, the socket that is open now, and the files that it may download."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path

from websockets.asyncio.server import ServerConnection

from worldmodel.play.conductor import Player

FILES_KEPT = 4


@dataclass(eq=False)
class Visitor:
    """identity: what a tab names when it comes back; folder: of its files; touched: time.monotonic() of its last
    command."""

    identity: str
    player: Player
    folder: Path
    socket: ServerConnection | None = None
    touched: float = field(default_factory=time.monotonic)
    files: dict[str, Path] = field(default_factory=dict)
    saving: asyncio.Task[None] | None = None

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
