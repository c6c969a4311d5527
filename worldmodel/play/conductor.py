"""When frames are due: every session at its world's frame rate, and at once when a key goes down or up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from worldmodel.errors import WorldModelError, one_line
from worldmodel.play.engine import Engine
from worldmodel.play.outbox import Outbox
from worldmodel.play.protocol import encode
from worldmodel.play.session import Session
from worldmodel.play.view import frame_message, history_message

SLACK = 0.25  # of a period: sessions due within it are stepped together, in one batch
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class News:
    """What a socket is told after a step: the frame, and all curves where more than a step has changed."""

    history: str | None
    frame: bytes


class Player:
    """A session with its clock. outbox: of the socket that watches it, if one does."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.outbox: Outbox | None = None
        self._told_epoch = -1
        self._due = 0.0
        self._edge = False
        self._changes = 0  # that wait for its agent, or are being made
        self._thinking: asyncio.Task[None] | None = None

    def watch(self, outbox: Outbox | None) -> None:
        """A socket has come, or gone; a new one knows nothing yet."""
        self.outbox, self._told_epoch = outbox, -1

    def news(self) -> News:
        """What its socket shall be told. Runs in the engine's thread, where nothing changes meanwhile."""
        history = None
        if self._told_epoch != self.session.epoch:
            history, self._told_epoch = encode(history_message(self.session)), self.session.epoch
        return News(history, frame_message(self.session))

    def show(self, news: News) -> None:
        """Tell its socket, if there is one."""
        if self.outbox is not None:
            self.outbox.show(news.frame, news.history)

    def tell(self, sentence: str) -> None:
        """Something that went wrong."""
        if self.outbox is not None:
            self.outbox.say(encode({"type": "error", "message": sentence}))

    def think(self, task: asyncio.Task[None]) -> None:
        """Its agent is being asked."""
        self._thinking = task

    @property
    def is_thinking(self) -> bool:
        """Whether its agent is being asked."""
        return self._thinking is not None and not self._thinking.done()

    async def quiet(self) -> None:
        """Until its agent has answered: nothing else may touch an agent that thinks."""
        if self._thinking is not None:
            await asyncio.wait([self._thinking])

    @contextlib.asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        """While the session is changed: its agent is not asked meanwhile, as it would be of a moment that is gone."""
        self._changes += 1
        try:
            await self.quiet()
            yield
        finally:
            self._changes -= 1

    @property
    def period(self) -> float:
        """Seconds between frames."""
        speed = self.session.speed
        return 1 / (self.session.world.fps * speed) if speed else 0.0

    def hurry(self) -> None:
        """A key went down or up: the next frame is owed at once. Its place on the clock is used up by that, so time
        does not run faster; of two keys within one period, the second waits for the period's end."""
        self._edge = True

    def when(self) -> float | None:
        """At what time.monotonic() it is due; None while it waits for something else."""
        if self.outbox is None or self.is_thinking or self._changes:
            return None
        if not self.session.running:
            return None
        return self._due - self.period if self._edge else self._due

    def stepped(self, now: float) -> None:
        """Set the clock on; it never catches up."""
        self._edge = False
        self._due = max(self._due, now - self.period / 2) + self.period


class Conductor:
    """Steps the players that are due, all in one batch."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.players: set[Player] = set()
        self._poked = asyncio.Event()
        self._agents = ThreadPoolExecutor(2, thread_name_prefix="agents")

    def poke(self) -> None:
        """Something has changed that may make a player due."""
        self._poked.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            self._poked.clear()
            times = [t for player in self.players if (t := player.when()) is not None]
            wait = min(times) - time.monotonic() if times else None
            if wait is None or wait > 0:
                await self._pause(wait)
                continue
            now = time.monotonic()
            due = [p for p in self.players if (t := p.when()) is not None and t <= now + SLACK * p.period]
            await self._step(due, now)

    def close(self) -> None:
        """Wait for no agent."""
        self._agents.shutdown(wait=False, cancel_futures=True)

    async def _pause(self, seconds: float | None) -> None:
        try:
            await asyncio.wait_for(self._poked.wait(), seconds)
        except TimeoutError:
            return

    async def _step(self, players: list[Player], now: float) -> None:
        ready = []
        for player in sorted(players, key=id):  # the same order, the same batch
            if player.session.wants_agent:
                player.think(asyncio.create_task(self._think(player)))
            else:
                player.stepped(now)
                ready.append(player)
        if not ready:
            await asyncio.sleep(0)
            return
        try:
            told = await self._engine.call(_step_together, self._engine, ready)
        except Exception as error:  # memory that is full, a device that is lost: told, and the others go on
            log.exception("a step failed")
            for player in ready:
                player.tell(f"The dream failed ({one_line(error)}): Go (Space) tries again.")
            told = await self._engine.call(_halted, ready)
        for player, news in told:
            player.show(news)
        await asyncio.sleep(0)

    async def consult(self, player: Player) -> None:
        """Until its agent, if it has one, has decided."""
        if player.session.wants_agent:
            player.think(asyncio.create_task(self._think(player)))
            await player.quiet()

    async def _think(self, player: Player) -> None:
        """Ask the agent, in a thread of its own: a planner may take a second, which nobody else shall wait for."""
        session = player.session
        try:
            await asyncio.get_running_loop().run_in_executor(self._agents, session.ask_agent)
        except (
            Exception
        ) as error:  # agents are other people's code: what they raise is told, and the person drives
            if not isinstance(error, WorldModelError):
                log.exception("the agent failed")
            player.tell(f"The agent failed ({one_line(error)}): you drive again.")
            player.show(await self._engine.call(_taken_over, player))
        finally:
            self.poke()


def _halted(players: list[Player]) -> list[tuple[Player, News]]:
    for player in players:
        player.session.halt()
    return [(player, player.news()) for player in players]


def _taken_over(player: Player) -> News:
    player.session.let_agent_drive(False)
    return player.news()


def _step_together(engine: Engine, players: list[Player]) -> list[tuple[Player, News]]:
    """In the engine's thread, where those that were paused, or sent elsewhere, just before are left alone."""
    players = [p for p in players if p.session.running and not p.session.wants_agent]
    due = [player.session.due() for player in players]
    for player, imagined in zip(players, engine.step(due), strict=True):
        player.session.accept(imagined)
    return [(player, player.news()) for player in players]
