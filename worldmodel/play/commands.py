"""What the page asks for, carried out: changes of a session in the model's thread, files in a thread of their own."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from worldmodel.errors import WorldModelError, explained
from worldmodel.play import protocol
from worldmodel.play.recording import Drive
from worldmodel.play.tab import Tab, Update
from worldmodel.play.ticker import ModelThread, Ticker


class Commands:
    """name: of the world, and so of its files."""

    def __init__(self, model_thread: ModelThread, ticker: Ticker, name: str) -> None:
        self._model_thread, self._ticker, self._name = model_thread, ticker, name
        # One thread: Minari takes its folder from os.environ.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="files")

    def close(self) -> None:
        """Once the files are written."""
        self._writer.shutdown()

    async def obey(self, tab: Tab, message: str | bytes) -> None:
        """Whatever is not understood, or fails, is answered with a sentence."""
        session = tab.session
        try:
            command = protocol.parse(message, session.world.codec.size)
        except WorldModelError as error:
            tab.complain(str(error))
            return
        arguments = command.arguments
        if command.kind == "ping":
            tab.say(type="pong", **arguments)
            return
        tab.touched = time.monotonic()
        match command.kind:
            case "action":
                session.act(arguments["values"], arguments["seq"])
                if arguments["edge"]:
                    tab.hurry()
            case "step":
                await self._change(tab, lambda: session.run(False))
                await self._ticker.consult(tab)
                await self._change(tab, session.step_alone)
            case "record":
                await self._save(tab, arguments["format"], lambda: session.record(arguments["on"]))
            case "save":
                await self._save(tab, arguments["format"], lambda: (session.now.first, session.now.last))
            case "picture":
                await self._begin_from(tab, arguments["data"])
            case _:
                await self._change(tab, lambda: session.apply(command))
        self._ticker.wake()

    async def _begin_from(self, tab: Tab, data: bytes) -> None:
        """A large picture takes a while to read: not in the model's thread."""
        session = tab.session
        try:
            frame = await asyncio.to_thread(protocol.read_picture, data, session.world.frame_shape)
        except WorldModelError as error:
            tab.complain(str(error))
            return
        await self._change(tab, lambda: session.begin_from(frame))

    async def _change(self, tab: Tab, change: Callable[[], object]) -> None:
        """Make a change in the model's thread, and show the result."""

        def changed() -> Update:
            change()
            return tab.update()

        try:
            async with tab.lock:
                tab.show(await self._model_thread.call(changed))
        except (
            Exception
        ) as error:  # also of other people's environments and agents: this session's affair alone
            tab.complain(explained(error, "That failed ({}): reset to begin anew."))

    async def _save(self, tab: Tab, format: str, end: Callable[[], tuple[int, int] | None]) -> None:
        """Write the moments from the first to the last that `end` gives; None where a recording has just begun."""
        session = tab.session
        drives: list[Drive] = []

        def mark() -> None:
            if (span := end()) is not None:
                moments = [session.now[t] for t in range(span[0], span[1] + 1)]
                drives.append(Drive(session.world, self._name, moments, session.seed))

        if tab.is_saving:
            tab.complain("A file is being written: wait for it.")
            return
        await self._change(tab, mark)
        for drive in drives:
            tab.saving = asyncio.create_task(self._write(tab, drive, format))

    async def _write(self, tab: Tab, drive: Drive, format: str) -> None:
        folder = tab.folder / secrets.token_hex(4)
        try:
            folder.mkdir(parents=True)
            path = await asyncio.get_running_loop().run_in_executor(self._writer, drive.write, folder, format)
        except Exception as error:  # a disk that is full, an encoder that fails: nothing else stops
            tab.deliver(type="error", message=explained(error, "The file cannot be written ({})."))
        else:
            tab.deliver(type="saved", url=f"/download/{tab.keep(path)}", name=path.name)
