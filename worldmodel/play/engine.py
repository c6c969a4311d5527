"""One model for all sessions: a thread of its own steps the dreams that are due, all in one batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

from worldmodel.benchmark.timing import times_of, torch_threads
from worldmodel.frames import float_to_frames
from worldmodel.model.state import DreamState, Transition
from worldmodel.model.world_model import WorldModel
from worldmodel.play.trace import Trace

Result = TypeVar("Result")
_TRIAL_SECONDS = 0.25
GAIN = 1.2


@dataclass(eq=False)
class Dream:
    """One session's dream. state: a dream of one, None while it is a row of the engine's batch; time: of its next
    step."""

    state: DreamState | None
    time: int

    @classmethod
    def at(cls, state: DreamState) -> Dream:
        """The dream of one that `state` holds, which is the engine's from now on."""
        return cls(state, int(state.time[0]))


@dataclass(frozen=True)
class Due:
    """A dream that is owed a frame. action: float32 [D] as encoded; passes: num_inference_steps."""

    dream: Dream
    action: np.ndarray
    passes: int


@dataclass(frozen=True)
class Imagined:
    """What came of it. frame uint8 [H,W,C]; uncertainty in grey levels, None where it is not known."""

    frame: np.ndarray
    reward: float
    termination: float
    uncertainty: float | None
    trace: Trace


class Engine:
    """Everything that touches the model or a simulator runs in its thread, through `call`, one after the other.

    threads: of torch; None: all that torch has but one where that makes a step of one dream faster by GAIN, else one.
    The core that is left is for the browser: where threads of torch share their cores with another busy program, each
    step waits for the last of them.
    """

    def __init__(self, model: WorldModel, threads: int | None = None) -> None:
        self.model = model
        self.batches = 0  # steps of the model, of however many dreams
        self._batch: tuple[list[Dream], DreamState] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dreams")
        self.threads = self._thread.submit(self._choose_threads, threads).result()

    async def call(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """work(*arguments), in the engine's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, _inferring, work, *arguments)

    def close(self) -> None:
        """End the thread, once what it was given is done."""
        self._thread.shutdown()

    def begin(self, frames: np.ndarray, actions: np.ndarray, seed: int) -> DreamState:
        """A dream of one that goes on from frames uint8 [n,H,W,C], with the encoded actions [n-1,D] between them."""
        return self.model.begin(
            torch.from_numpy(np.ascontiguousarray(frames))[None],
            torch.from_numpy(np.ascontiguousarray(actions, np.float32))[None],
            torch.tensor([seed], dtype=torch.int64),
        )

    def step(self, due: Sequence[Due]) -> list[Imagined]:
        """One step of each, in one batch for every number of passes that is asked for; in the order of `due`."""
        found: dict[Dream, Imagined] = {}
        for passes in sorted({item.passes for item in due}):
            group = [item for item in due if item.passes == passes]
            state = self._seat([item.dream for item in group])
            actions = torch.from_numpy(np.stack([item.action for item in group]).astype(np.float32))
            found |= self._told(group, state, self.model.step(state, actions, passes))
            self.batches += 1
        return [found[item.dream] for item in due]

    def _told(self, group: list[Due], state: DreamState, step: Transition) -> dict[Dream, Imagined]:
        frames = float_to_frames(step.frame).cpu().numpy()
        numbers = torch.stack([step.reward, step.termination_probability, step.uncertainty]).cpu().numpy()
        found = {}
        for row, item in enumerate(group):
            reward, termination, uncertainty = (float(value) for value in numbers[:, row])
            trace = Trace.take(state, row, item.dream.time)
            item.dream.time += 1
            known = uncertainty if np.isfinite(uncertainty) else None
            found[item.dream] = Imagined(frames[row].copy(), reward, termination, known, trace)
        return found

    def _seat(self, dreams: list[Dream]) -> DreamState:
        """A state that has these dreams as its rows, in order; the same as last time where they are the same."""
        if self._batch is not None:
            if self._batch[0] == dreams:
                return self._batch[1]
            self._unseat()
        states = [dream.state for dream in dreams if dream.state is not None]
        assert len(states) == len(dreams), "a dream is a row of the batch or has a state"
        if len(states) == 1:
            return states[0]
        state = DreamState.concatenate(states)
        for dream in dreams:
            dream.state = None
        self._batch = dreams, state
        return state

    def _unseat(self) -> None:
        assert self._batch is not None
        dreams, state = self._batch
        for row, dream in enumerate(dreams):
            dream.state = state.select(torch.tensor([row], device=state.time.device))
        self._batch = None

    def forget(self, dream: Dream) -> None:
        """It is stepped no more."""
        if dream.state is None:
            self._unseat()

    def _choose_threads(self, threads: int | None) -> int:
        """Sets and returns the number for this thread, and so for every later step."""
        if threads is None and self.model.device.type == "cpu":
            most = torch.get_num_threads() - 1
            threads = most if most > 1 and GAIN * self._seconds(most) < self._seconds(1) else 1
        if threads is not None:
            torch.set_num_threads(threads)
        return torch.get_num_threads()

    def _seconds(self, threads: int) -> float:
        """A step of one dream, on so many threads."""
        contexts = self.model.contexts.select(torch.tensor([0]))
        with torch.inference_mode(), torch_threads(threads):
            state = self.model.begin(contexts.frames, contexts.actions, torch.tensor([0]))
            action = torch.zeros(1, self.model.world.codec.size)
            taken = times_of(lambda: self.model.step(state, action), self.model.device, _TRIAL_SECONDS)
        return float(np.median(taken))


def _inferring(work: Callable[..., Result], *arguments: Any) -> Result:
    with torch.inference_mode():
        return work(*arguments)
