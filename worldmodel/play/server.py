"""The page, its sockets and its downloads on one port; a session for every tab."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import mimetypes
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from worldmodel.errors import WorldModelError, explained
from worldmodel.play import access, protocol
from worldmodel.play.commands import Commands
from worldmodel.play.session import Session
from worldmodel.play.simulator import Reality
from worldmodel.play.tab import Outbox, Tab
from worldmodel.play.ticker import ModelThread, Ticker
from worldmodel.play.view import world_message

TAKEN_OVER, IDLE, FULL = 4001, 4002, 4003  # codes with which a socket is closed
# What sending to a socket that is closed raises: Starlette the one, it and uvicorn the other.
CLOSED = (WebSocketDisconnect, RuntimeError)
SEND_BUFFER = 64 << 10  # bytes the system may hold for a slow reader: about five frames
SPARE_CONNECTIONS = 64  # beyond the sockets: the page's files and downloads
STOP_SECONDS, CLOSE_SECONDS = 2, 1.0
SWEEP_SECONDS = 5.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """name: of the world, shown; policy: config of the agent that may drive; real: the simulator beside the dream."""

    name: str
    policy: Mapping[str, Any] | None = None
    real: bool = True
    idle_minutes: float = 30.0
    sessions: int = 16
    seed: int = 0
    speed: float = 1.0
    history: int = 600


class PlayServer:
    """Serves until it is stopped; see `serve`."""

    def __init__(self, model_thread: ModelThread, settings: Settings, token: str) -> None:
        self._model_thread, self._settings, self.token = model_thread, settings, token
        self.tabs: dict[str, Tab] = {}
        self._ticker = Ticker(model_thread)
        self._commands = Commands(model_thread, self._ticker, settings.name)
        self._starting = 0

    async def serve(
        self, host: str, port: int, stop: asyncio.Event, ready: Callable[[str], None] = lambda address: None
    ) -> None:
        """Until `stop` is set. ready: called with the page's address. Raises WorldModelError where it cannot listen."""
        listener = _listen(host, port)
        self._folder = Path(tempfile.mkdtemp(prefix="worldmodel-play-"))
        mimetypes.add_type("text/javascript", ".js")  # some systems have another, which browsers refuse
        routes = [
            Route("/download/{key}", self._download),
            WebSocketRoute("/socket", self._talk),
            Mount("/", StaticFiles(packages=[("worldmodel.play", "page")], html=True)),
        ]
        config = uvicorn.Config(
            access.Guard(Starlette(routes=routes), self.token, host in access.LOOPBACK),
            http=access.LimitedHttp,
            ws=access.LimitedSocket,
            ws_max_size=protocol.MAX_MESSAGE,
            ws_per_message_deflate=False,
            limit_concurrency=2 * self._settings.sessions + SPARE_CONNECTIONS,
            timeout_graceful_shutdown=STOP_SECONDS,
            lifespan="off",
            log_config=None,
            log_level="critical",  # what malformed messages do to uvicorn is nobody's concern
            access_log=False,
        )
        server = _Server(config)
        try:
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(server.serve([listener]))
                endless = [tasks.create_task(work) for work in (self._ticker.run(), self._sweep())]
                name = f"[{host}]" if ":" in host else host
                ready(f"http://{name}:{listener.getsockname()[1]}/?token={self.token}")
                await stop.wait()
                server.should_exit = True
                await serving
                for task in endless:
                    task.cancel()
        finally:
            for tab in list(self.tabs.values()):
                await self._free(tab)
            self._ticker.close()
            self._commands.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _download(self, request: Request) -> FileResponse:
        key = request.path_params["key"]
        file = next((tab.files[key] for tab in self.tabs.values() if key in tab.files), None)
        if file is None or not file.exists():
            raise HTTPException(404, "This file is no longer kept: save it again.")
        return FileResponse(file, media_type="application/octet-stream", filename=file.name)

    # Sockets.

    async def _talk(self, websocket: WebSocket) -> None:
        """One socket, from its first message to its last."""
        try:
            await self._converse(websocket)
        except WebSocketDisconnect:
            return  # as sockets do; the session waits for the next one
        except Exception:
            log.exception("a socket failed")

    async def _converse(self, websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            tab = await self._find_or_begin(websocket.query_params.get("session", ""))
        except Exception as error:  # also of other people's environments: the page shows it, and asks no more
            sentence = explained(error, "No session begins ({}).")
            await websocket.send_text(protocol.encode({"type": "error", "message": sentence}))
            await websocket.close(FULL, "no session")
            return
        if tab.socket is not None:
            await _close(tab.socket, TAKEN_OVER, "opened elsewhere")
        outbox = Outbox()
        tab.attach(websocket, outbox)
        sending = asyncio.create_task(_send(websocket, outbox))
        try:
            world = await self._model_thread.call(
                world_message, tab.session, self._settings.name, tab.identity
            )
            outbox.add(protocol.encode({**world, "saving": tab.is_saving}))
            tab.say_undelivered()
            tab.show(await self._model_thread.call(tab.update))
            self._ticker.wake()
            while (message := await websocket.receive())["type"] == "websocket.receive":
                text = message.get("text")
                await self._commands.obey(tab, message["bytes"] if text is None else text)
                await asyncio.sleep(0)  # who talks without pause lets others talk, too
        finally:
            sending.cancel()
            if tab.outbox is outbox:
                tab.attach(None, None)

    # Sessions.

    async def _find_or_begin(self, identity: str) -> Tab:
        """The tab that comes back, or a new one; where all places are taken, in the place of one that was closed."""
        if identity in self.tabs:
            return self.tabs[identity]
        most = self._settings.sessions
        closed = [tab for tab in self.tabs.values() if tab.socket is None]
        if len(self.tabs) + self._starting >= most and closed:
            await self._free(min(closed, key=lambda tab: tab.touched))
        if len(self.tabs) + self._starting >= most:
            raise WorldModelError(
                f"All {most} places are taken: close another tab, or start with sessions={2 * most}."
            )
        self._starting += 1
        try:
            session = await self._model_thread.call(self._new_session)
        finally:
            self._starting -= 1
        identity = secrets.token_urlsafe(12)
        tab = self.tabs[identity] = Tab(identity, session, self._folder / identity)
        self._ticker.tabs.add(tab)
        return tab

    def _new_session(self) -> Session:
        settings, batch = self._settings, self._model_thread.batch
        world = batch.model.world if settings.real else None
        reality = Reality(world, "The simulator was switched off (real=false).")
        return Session(batch, reality, settings.policy, settings.seed, settings.speed, settings.history)

    async def _free(self, tab: Tab) -> None:
        self.tabs.pop(tab.identity, None)
        self._ticker.tabs.discard(tab)
        if tab.socket is not None:
            await _close(tab.socket, IDLE, "the session was freed")
        if tab.saving is not None:
            await asyncio.wait([tab.saving])
        async with tab.lock:
            await self._model_thread.call(tab.session.close)
        shutil.rmtree(tab.folder, ignore_errors=True)

    async def _sweep(self) -> None:
        """Free the sessions that nobody touches."""
        idle = self._settings.idle_minutes * 60
        while True:
            await asyncio.sleep(min(SWEEP_SECONDS, idle / 2))
            now = time.monotonic()
            for tab in [tab for tab in self.tabs.values() if now - tab.touched > idle]:
                await self._free(tab)


class _Server(uvicorn.Server):
    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        """Leaves signals to whoever stops the server."""
        return contextlib.nullcontext()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise WorldModelError(
            f"Cannot listen on {host}, port {port} ({error.strerror}): choose another port, or port=0 for a free one."
        ) from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)  # connections inherit it
    return listener


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    """Or leave it to be cut off, where its peer does not read."""
    with contextlib.suppress(*CLOSED, TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await websocket.close(code, reason)


async def _send(websocket: WebSocket, outbox: Outbox) -> None:
    with contextlib.suppress(*CLOSED):
        async for message in outbox.messages():
            if isinstance(message, bytes):
                await websocket.send_bytes(message)
            else:
                await websocket.send_text(message)
