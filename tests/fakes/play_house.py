"""A play server in a thread of its own, with a tiny world, and a client that talks to it over a real socket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from tiny_world import tiny_world_model
from websockets.sync.client import ClientConnection, connect

from worldmodel.model.world_model import WorldModel
from worldmodel.play.engine import Engine
from worldmodel.play.protocol import decode_frame
from worldmodel.play.server import PlayServer, Settings

TOKEN = "token-of-the-tests"
HELD = {"_target_": "worldmodel.agents.exploration.HeldActions", "max_hold": 4}


class PlayHouse:
    """A context manager. address: of the page, with its token; server, engine: to look inside."""

    def __init__(self, model: WorldModel | None = None, token: str = TOKEN, **settings: Any) -> None:
        self.engine = Engine(model or tiny_world_model(max_episode_steps=None), threads=1)
        self.server = PlayServer(self.engine, Settings("tiny", **({"policy": HELD} | settings)), token)
        self.address = ""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> PlayHouse:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        assert not self._thread.is_alive()
        self.engine.close()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self.loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await self.server.serve("127.0.0.1", 0, self._stop, self._listening)

    def _listening(self, address: str) -> None:
        self.address = address
        self._ready.set()

    @property
    def host(self) -> str:
        """Name and port."""
        return urlsplit(self.address).netloc

    def client(self, session: str = "", **options: Any) -> Client:
        """A new socket; session: of one that was there before."""
        query = f"?token={TOKEN}" + (f"&session={session}" if session else "")
        opening = connect(f"ws://{self.host}/socket{query}", max_size=None, compression=None, **options)
        return Client(opening.__enter__())  # newer versions connect only there

    def on_loop(self, look: Callable[[], Any]) -> Any:
        """What `look` returns in the server's loop."""

        async def looked() -> Any:
            return look()

        return asyncio.run_coroutine_threadsafe(looked(), self.loop).result(30)


class Client:
    """A tab without a browser. world: what it was told first; header, pictures: of the last frame read."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.header: dict[str, Any] = {}
        self.pictures: list[Any] = []
        self.world = self.wait(lambda content: content["type"] == "world")
        self.next()

    def send(self, kind: str, **content: Any) -> None:
        self.socket.send(json.dumps({"type": kind, **content}))

    def read(self, seconds: float = 30) -> dict[str, Any]:
        """The next message."""
        message = self.socket.recv(seconds)
        if isinstance(message, str):
            return json.loads(message)
        self.header, self.pictures = decode_frame(message)
        return self.header

    def wait(self, wanted: Callable[[dict[str, Any]], bool], most: int = 5000) -> dict[str, Any]:
        """The next message that is wanted."""
        for _ in range(most):
            content = self.read()
            if wanted(content):
                return content
        raise AssertionError("it never came")

    def next(self) -> dict[str, Any]:
        """The next frame."""
        return self.wait(lambda content: content["type"] == "frame")

    def error(self) -> str:
        """The next sentence that says what is wrong."""
        return self.wait(lambda content: content["type"] == "error")["message"]

    def step(self, values: list[float] | None = None) -> dict[str, Any]:
        """One step under this action; the frame that came."""
        t = self.header["t"]
        self.send("action", values=values or self.world["rest"])
        self.send("step")
        return self.wait(lambda content: content["type"] == "frame" and content["t"] == t + 1)

    def close(self) -> None:
        self.socket.close()
