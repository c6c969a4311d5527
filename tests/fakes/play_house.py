"""A play server in a thread of its own, with a tiny world, and a client that talks to it over a real socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from tiny_world import tiny_world_model

from worldmodel.model.world_model import WorldModel
from worldmodel.play.bench import Client
from worldmodel.play.server import PlayServer, Settings
from worldmodel.play.ticker import ModelThread

TOKEN = "token-of-the-tests"
HELD = {"_target_": "worldmodel.agents.exploration.HeldActions", "max_hold": 4}


class PlayHouse:
    """A context manager. address: of the page, with its token; server, model_thread: to look inside."""

    def __init__(self, model: WorldModel | None = None, token: str = TOKEN, **settings: Any) -> None:
        self.model_thread = ModelThread(model or tiny_world_model(max_episode_steps=None), threads=1)
        self.server = PlayServer(self.model_thread, Settings("tiny", **({"policy": HELD} | settings)), token)
        self.address = ""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> PlayHouse:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        assert not self._thread.is_alive(), self.look(lambda: list(map(str, asyncio.all_tasks())))
        self.model_thread.close()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await self.server.serve("127.0.0.1", 0, self._stop, self._listening)

    def _listening(self, address: str) -> None:
        self.address = address
        self._ready.set()

    @property
    def host(self) -> str:
        """Name and port."""
        return urlsplit(self.address).netloc

    @property
    def socket_url(self) -> str:
        """Of new sockets."""
        return f"ws://{self.host}/socket?token={TOKEN}"

    def client(self, session: str = "", **options: Any) -> TestClient:
        """A new socket; session: of one that was there before."""
        return TestClient(self.address, session, **options)

    def wait_for(self, work: Awaitable[Any]) -> Any:
        """The result of `work` in the server's loop."""

        async def waited() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(waited(), self._loop).result(30)

    def look(self, look: Callable[[], Any]) -> Any:
        """What `look` returns in the server's loop."""

        async def looked() -> Any:
            return look()

        return self.wait_for(looked())


class TestClient(Client):
    """A tab without a browser, which has seen its first frame."""

    __test__ = False  # pytest: no tests in here

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.frame()

    def wait(self, wanted: Callable[[dict[str, Any]], bool], most: int = 5000) -> dict[str, Any]:
        """The next message that is wanted."""
        for _ in range(most):
            content = self.read(30)
            if wanted(content):
                return content
        raise AssertionError("it never came")

    def error(self) -> str:
        """The next sentence that says what is wrong."""
        return self.wait(lambda content: content["type"] == "error")["message"]

    def step(self, values: list[float] | None = None) -> dict[str, Any]:
        """One step under this action; the frame that came."""
        t = self.header["t"]
        self.send("action", values=values or self.world["rest"])
        self.send("step")
        return self.wait(lambda content: content["type"] == "frame" and content["t"] == t + 1)
