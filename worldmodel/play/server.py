"""The page, its sockets and its downloads on one port; a session for every tab."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import shutil
import socket as sockets
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from worldmodel.errors import EnvError, WorldModelError, one_line
from worldmodel.play import access, protocol
from worldmodel.play.commands import obey
from worldmodel.play.conductor import Conductor, News, Player
from worldmodel.play.engine import Engine
from worldmodel.play.outbox import Outbox
from worldmodel.play.reality import Reality
from worldmodel.play.recording import Drive
from worldmodel.play.session import Limits, Session
from worldmodel.play.start import pictured
from worldmodel.play.view import world_message
from worldmodel.play.visitor import Visitor

TAKEN_OVER, IDLE, FULL = 4001, 4002, 4003  # codes with which a socket is closed
SEND_BUFFER = 64 << 10  # bytes the system may hold for a slow reader: about five frames
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
    limits: Limits = field(default_factory=Limits)


class PlayServer:
    """Serves until it is stopped; see `serve`."""

    def __init__(self, engine: Engine, settings: Settings, token: str) -> None:
        self._engine, self._settings, self.token = engine, settings, token
        self.visitors: dict[str, Visitor] = {}
        self._conductor = Conductor(engine)
        self._writer = ThreadPoolExecutor(
            1, thread_name_prefix="files"
        )  # Minari takes its folder from os.environ
        self._folder = Path(tempfile.mkdtemp(prefix="worldmodel-play-"))
        self._door = access.Door(token, "")
        self._starting = 0

    async def serve(
        self, host: str, port: int, stop: asyncio.Event, ready: Callable[[str], None] = lambda address: None
    ) -> None:
        """Until `stop` is set. ready: called with the page's address. Raises WorldModelError where it cannot listen."""
        self._door = access.Door(self.token, host)
        conducting = asyncio.create_task(self._conductor.run())
        sweeping = asyncio.create_task(self._sweep())
        stopping = asyncio.create_task(stop.wait())
        try:
            async with serve(
                self._talk,
                host,
                port,
                process_request=self._respond,
                compression=None,
                max_size=protocol.MAX_MESSAGE,
                write_limit=SEND_BUFFER,
                logger=_quiet_logger(),
            ) as server:
                bound = server.sockets[0].getsockname()[1]
                ready(f"http://{f'[{host}]' if ':' in host else host}:{bound}/?token={self.token}")
                await asyncio.wait([stopping, conducting, sweeping], return_when=asyncio.FIRST_COMPLETED)
                for endless in (conducting, sweeping):
                    if endless.done():  # a bug
                        endless.result()
        except OSError as error:
            raise WorldModelError(
                f"Cannot listen on {host}, port {port} ({error.strerror}): choose another port, or port=0 for a free "
                "one."
            ) from error
        finally:
            for task in (conducting, sweeping, stopping):
                task.cancel()
            await asyncio.gather(conducting, sweeping, stopping, return_exceptions=True)
            for visitor in list(self.visitors.values()):
                await self._free(visitor)
            self._conductor.close()
            self._writer.shutdown()
            shutil.rmtree(self._folder, ignore_errors=True)

    # HTTP.

    async def _respond(self, connection: ServerConnection, request: Request) -> Response | None:
        """The answer to a request; None for a socket, whose handshake goes on."""
        if (objection := self._door.objection(request)) is not None:
            return objection
        path = access.place(request)
        if path == access.SOCKET:
            return None
        if path.startswith(access.DOWNLOAD):
            return await self._download(path.removeprefix(access.DOWNLOAD))
        return access.page_file(path) or access.words(404, "Not Found", "There is no such page.")

    async def _download(self, key: str) -> Response:
        """A saved file, read while the others go on; a session that is freed meanwhile takes its files along."""
        file = next((v.files[key] for v in self.visitors.values() if key in v.files), None)
        if file is not None:
            with contextlib.suppress(FileNotFoundError):
                data = await asyncio.to_thread(file.read_bytes)
                return access.answer(200, "OK", data, "application/octet-stream", file.name)
        return access.words(404, "Not Found", "This file is no longer kept: save it again.")

    # Sockets.

    async def _talk(self, connection: ServerConnection) -> None:
        """One socket, from its first message to its last."""
        connection.transport.get_extra_info("socket").setsockopt(
            sockets.SOL_SOCKET, sockets.SO_SNDBUF, SEND_BUFFER
        )
        assert connection.request is not None
        try:
            visitor = await self._visitor(access.query(connection.request, "session"))
        except Exception as error:  # also of other people's environments: the page is told, and asks no more
            if not isinstance(error, WorldModelError):
                log.exception("no session could be begun")
            words = (
                str(error)
                if isinstance(error, WorldModelError)
                else f"No session begins ({one_line(error)})."
            )
            await connection.send(protocol.encode({"type": "error", "message": words}))
            await connection.close(FULL, "no session")
            return
        if (before := visitor.socket) is not None:
            visitor.socket = None
            asyncio.get_running_loop().create_task(before.close(TAKEN_OVER, "opened elsewhere"))
        outbox = Outbox()
        visitor.socket, visitor.touched = connection, time.monotonic()
        visitor.player.watch(outbox)
        sending = asyncio.create_task(_send(connection, outbox))
        try:
            world = await self._engine.call(
                world_message, visitor.player.session, self._settings.name, visitor.identity
            )
            outbox.say(protocol.encode({**world, "saving": visitor.is_saving}))
            visitor.say_what_waits()
            visitor.player.show(await self._engine.call(visitor.player.news))
            self._conductor.poke()
            async for message in connection:
                await self._obey(visitor, message)
                await asyncio.sleep(0)  # who talks without pause lets others talk, too
        except ConnectionClosed:
            pass  # as sockets do; the session waits for the next one
        finally:
            sending.cancel()
            if visitor.player.outbox is outbox:
                visitor.player.watch(None)
                visitor.socket = None

    async def _obey(self, visitor: Visitor, message: str | bytes) -> None:
        player, session = visitor.player, visitor.player.session
        try:
            command = protocol.parse(message, len(session.resting()))
        except WorldModelError as error:
            player.tell(str(error))
            return
        if isinstance(command, protocol.Ping):
            if player.outbox is not None:
                player.outbox.say(protocol.encode({"type": "pong", "number": command.number}))
            return
        visitor.touched = time.monotonic()
        match command:
            case protocol.Action():
                session.act(command)
                if command.edge:
                    player.hurry()
            case protocol.Step():
                await self._change(player, lambda: session.run(False))
                await self._conductor.consult(player)
                await self._change(player, session.step_alone)
            case protocol.Record() | protocol.Save():
                await self._record(visitor, command)
            case protocol.Picture(data):
                await self._begin_from(player, data)
            case _:
                await self._change(player, lambda: obey(session, command))
        self._conductor.poke()

    async def _begin_from(self, player: Player, data: bytes) -> None:
        """A large picture takes a while to read: not in the engine's thread."""
        session = player.session
        try:
            known = await asyncio.to_thread(pictured, session.model, data)
        except WorldModelError as error:
            player.tell(str(error))
            return
        await self._change(player, lambda: session.begin_from(known))

    async def _change(self, player: Player, change: Callable[[], object]) -> None:
        """Make a change in the engine's thread, and show what is there then."""
        try:
            async with player.changing():
                player.show(await self._engine.call(_changed, player, change))
        except WorldModelError as error:
            player.tell(str(error))
        except Exception as error:  # of other people's environments and agents: this session's affair alone
            log.exception("a command failed")
            player.tell(f"That failed ({one_line(error)}): reset to begin anew.")

    async def _record(self, visitor: Visitor, command: protocol.Record | protocol.Save) -> None:
        """Begin to record, or write what was."""
        session, settings = visitor.player.session, self._settings
        drives: list[Drive] = []

        def mark() -> None:
            now = session.now
            span: tuple[int, int] | None = (now.first, now.last)
            if isinstance(command, protocol.Record):
                span = session.record(command.on)
            if span is not None:
                moments = [now.of(t) for t in range(span[0], span[1] + 1)]
                drives.append(Drive(session.world, settings.name, moments, session.seed))

        if visitor.is_saving:
            visitor.player.tell("A file is being written: wait for it.")
            return
        await self._change(visitor.player, mark)
        for drive in drives:
            visitor.saving = asyncio.create_task(self._save(visitor, drive, command.format))

    async def _save(self, visitor: Visitor, drive: Drive, format: str) -> None:
        folder = visitor.folder / secrets.token_hex(4)
        try:
            folder.mkdir(parents=True)
            path = await asyncio.get_running_loop().run_in_executor(self._writer, drive.write, folder, format)
        except WorldModelError as error:
            visitor.say({"type": "error", "message": str(error)})
        except Exception as error:  # a disk that is full, an encoder that fails: told, and nothing else stops
            log.exception("saving failed")
            visitor.say({"type": "error", "message": f"The file cannot be written ({one_line(error)})."})
        else:
            url = f"{access.DOWNLOAD}{visitor.keep(path)}"
            visitor.say({"type": "saved", "url": url, "name": path.name})

    # Sessions.

    async def _visitor(self, identity: str) -> Visitor:
        """The one who comes back, or a new one."""
        if identity in self.visitors:
            return self.visitors[identity]
        left = [visitor for visitor in self.visitors.values() if visitor.socket is None]
        if len(self.visitors) + self._starting >= self._settings.sessions and left:
            await self._free(min(left, key=lambda visitor: visitor.touched))  # its tab is closed
        if len(self.visitors) + self._starting >= self._settings.sessions:
            raise WorldModelError(
                f"All {self._settings.sessions} places are taken: close another tab, or start with "
                "sessions=32."
            )
        self._starting += 1
        try:
            session = await self._engine.call(self._new_session)
        finally:
            self._starting -= 1
        identity = secrets.token_urlsafe(12)
        player = Player(session)
        self._conductor.players.add(player)
        self.visitors[identity] = Visitor(identity, player, self._folder / identity)
        return self.visitors[identity]

    def _new_session(self) -> Session:
        settings, reality, note = self._settings, None, "The simulator was switched off (real=false)."
        if settings.real:
            try:
                reality = Reality(self._engine.model.world)
            except EnvError as error:
                note = str(error)
            except Exception as error:  # of other people's environments
                log.exception("the simulator cannot be made")
                note = f"The simulator cannot be made ({one_line(error)})."
        session = Session(self._engine, reality, note, settings.policy, settings.limits, settings.seed)
        session.speed = settings.speed
        return session

    async def _free(self, visitor: Visitor) -> None:
        self.visitors.pop(visitor.identity, None)
        self._conductor.players.discard(visitor.player)
        if visitor.socket is not None:
            with contextlib.suppress(ConnectionClosed):
                await visitor.socket.close(IDLE, "the session was freed")
        if visitor.saving is not None:
            await asyncio.wait([visitor.saving])
        await visitor.player.quiet()
        try:
            await self._engine.call(visitor.player.session.close)
        except Exception:  # of other people's environments: nobody is left to be told
            log.exception("a simulator could not be closed")
        shutil.rmtree(visitor.folder, ignore_errors=True)

    async def _sweep(self) -> None:
        """Free the sessions whose person is gone."""
        idle = self._settings.idle_minutes * 60
        while True:
            await asyncio.sleep(min(SWEEP_SECONDS, idle / 2))
            now = time.monotonic()
            for visitor in [v for v in self.visitors.values() if now - v.touched > idle]:
                await self._free(visitor)


async def _send(connection: ServerConnection, outbox: Outbox) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for message in outbox.messages():
            await connection.send(message)


def _changed(player: Player, change: Callable[[], object]) -> News:
    change()
    return player.news()


def _quiet_logger() -> logging.Logger:
    """Browsers open connections that they never use, which websockets calls errors."""
    logger = logging.getLogger(f"{__name__}.websockets")
    logger.setLevel(logging.CRITICAL)
    return logger
