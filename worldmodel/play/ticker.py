"""When frames are made: every session at its world's frame rate, and at once when a key goes down or up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np
import torch

from worldmodel.benchmark.timing import times_of, torch_threads
from worldmodel.errors import explained
from worldmodel.model.world_model import WorldModel
from worldmodel.play.batch import DreamBatch
from worldmodel.play.tab import Tab, Update

Result = TypeVar("Result")
SLACK = 0.25  # of a period: sessions due within it are stepped together, in one batch
GAIN = 1.2
_TRIAL_SECONDS = 0.25


class ModelThread:
    """Everything that touches the model or a simulator runs in this thread, through `call`, one after the other.

    threads: of torch; None: all that torch has but one where that makes a step of one dream faster by GAIN, else one.
    The core that is left is for the browser: where threads of torch share their cores with another busy program, each
    step waits for the last of them.
    """

    def __init__(self, model: WorldModel, threads: int | None = None) -> None:
        self.batch = DreamBatch(model)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dreams")
        self.threads = self._thread.submit(self._choose_threads, threads).result()

    async def call(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """work(*arguments), in this thread and without gradients."""
        inferring = torch.inference_mode()(work)
        return await asyncio.get_running_loop().run_in_executor(self._thread, inferring, *arguments)

    def close(self) -> None:
        """End the thread, once what it was given is done."""
        self._thread.shutdown()

    def _choose_threads(self, threads: int | None) -> int:
        """Sets and returns the number for this thread, and so for every later step."""
        if threads is None and self.batch.model.device.type == "cpu":
            most = torch.get_num_threads() - 1
            threads = most if most > 1 and GAIN * self._seconds(most) < self._seconds(1) else 1
        if threads is not None:
            torch.set_num_threads(threads)
        return torch.get_num_threads()

    def _seconds(self, threads: int) -> float:
        """A step of one dream, on so many threads."""
        model = self.batch.model
        contexts = model.contexts.select(torch.tensor([0]))
        with torch.inference_mode(), torch_threads(threads):
            state = model.begin(contexts.frames, contexts.actions, torch.tensor([0]))
            action = torch.zeros(1, model.world.codec.size)
            taken = times_of(lambda: model.step(state, action), model.device, _TRIAL_SECONDS)
        return float(np.median(taken))


class Ticker:
    """Steps the tabs that are due, all in one batch."""

    def __init__(self, model_thread: ModelThread) -> None:
        self._model_thread = model_thread
        self.tabs: set[Tab] = set()
        self._woken = asyncio.Event()
        self._questions: set[asyncio.Task[None]] = set()
        self._agents = ThreadPoolExecutor(2, thread_name_prefix="agents")

    def wake(self) -> None:
        """Something has changed that may make a tab due."""
        self._woken.set()

    async def run(self) -> None:
        """Without end."""
        while True:
            self._woken.clear()
            times = [t for tab in self.tabs if (t := tab.due()) is not None]
            wait = min(times) - time.monotonic() if times else None
            if wait is None or wait > 0:
                await self._pause(wait)
                continue
            now = time.monotonic()
            due = [tab for tab in self.tabs if (t := tab.due()) is not None and t <= now + SLACK * tab.period]
            await self._step(due, now)
            await asyncio.sleep(0)

    def close(self) -> None:
        """Wait for no agent."""
        self._agents.shutdown(wait=False, cancel_futures=True)

    async def _pause(self, seconds: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # Python 3.11's wait_for may swallow a cancellation
                await self._woken.wait()

    async def _step(self, tabs: list[Tab], now: float) -> None:
        ready = []
        for tab in sorted(tabs, key=id):  # the same order, the same batch
            if tab.session.wants_agent:
                question = asyncio.create_task(self.consult(tab))
                self._questions.add(question)
                question.add_done_callback(self._questions.discard)
            else:
                tab.stepped(now)
                ready.append(tab)
        if not ready:
            return
        try:
            updates = await self._model_thread.call(_step_together, self._model_thread.batch, ready)
        except Exception as error:  # memory that is full, a device that is lost: the others go on
            sentence = explained(error, "The dream failed ({}): Go (Space) tries again.")
            for tab in ready:
                tab.complain(sentence)
            updates = await self._model_thread.call(_halt, ready)
        for tab, update in updates:
            tab.show(update)

    async def consult(self, tab: Tab) -> None:
        """Until its agent, where it has one, has decided. In a thread of its own: a planner may take a second."""
        async with tab.lock:
            if not tab.session.wants_agent:
                return
            try:
                await asyncio.get_running_loop().run_in_executor(self._agents, tab.session.ask_agent)
            except Exception as error:  # other people's agents raise anything
                tab.complain(f"{explained(error, 'The agent failed ({}).')} You drive again.")
                tab.show(await self._model_thread.call(_take_over, tab))
        self.wake()


def _step_together(batch: DreamBatch, tabs: list[Tab]) -> list[tuple[Tab, Update]]:
    """In the model's thread, where tabs that were paused, or sent elsewhere, just before are left alone."""
    tabs = [tab for tab in tabs if tab.session.running and not tab.session.wants_agent]
    requests = [tab.session.request() for tab in tabs]
    for tab, imagined in zip(tabs, batch.step(requests), strict=True):
        tab.session.accept(imagined)
    return [(tab, tab.update()) for tab in tabs]


def _halt(tabs: list[Tab]) -> list[tuple[Tab, Update]]:
    for tab in tabs:
        tab.session.halt()
    return [(tab, tab.update()) for tab in tabs]


def _take_over(tab: Tab) -> Update:
    tab.session.let_agent_drive(False)
    return tab.update()
