"""The dreams of all sessions, stepped in one batch, and traces that bring a dream back to any of its moments.

A step writes one slot of the ring of keys and values and leaves the others, so a moment is the start, and over it the
last steps, as many as the ring has slots. Nothing is imagined again: the same step in a batch of another size would
differ in its last bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worldmodel.frames import float_to_frames
from worldmodel.model.dreams import Dreams, Ending, Episodes, noise_seeds
from worldmodel.model.state import DreamState
from worldmodel.model.world_model import WorldModel


@dataclass(eq=False)
class Dream:
    """One session's dream. alone: Dreams of one, None while it is a row of the batch; time: of its next step."""

    alone: Dreams | None
    time: int

    @classmethod
    def of(cls, alone: Dreams) -> Dream:
        """The one of `alone`, which is this dream's from now on."""
        return cls(alone, int(alone.state.time[0]))


@dataclass(frozen=True)
class StepRequest:
    """A dream that is owed a frame. action: float32 [D] as encoded; passes: num_inference_steps."""

    dream: Dream
    action: np.ndarray
    passes: int


@dataclass(frozen=True)
class Trace:
    """What one step changed in one dream. keys, values [layers,N,heads,head_dim]: written to memory at `time`; frame
    [C,H,W], features [F]: of the new frame; spread, steps: of the evidence after it."""

    time: int
    keys: Tensor
    values: Tensor
    frame: Tensor
    features: Tensor
    spread: Tensor
    steps: Tensor

    @classmethod
    def of_row(cls, state: DreamState, row: int, time: int) -> Trace:
        """Of the step at `time` that row `row` of `state` has just made; copies."""
        slot = time % state.memory.times.shape[1]
        return cls(
            time,
            state.memory.keys[:, row, :, :, slot].clone(),
            state.memory.values[:, row, :, :, slot].clone(),
            state.last[row].clone(),
            state.features[row].clone(),
            state.evidence.spread[row].clone(),
            state.evidence.steps[row].clone(),
        )


@dataclass(frozen=True)
class Imagined:
    """The result of a step. frame uint8 [H,W,C]; termination: probability of the end; terminated: whether it was drawn;
    truncated: by the time limit; uncertainty in grey levels, None where it is not calibrated."""

    frame: np.ndarray
    reward: float
    termination: float
    terminated: bool
    truncated: bool
    uncertainty: float | None
    trace: Trace


class DreamBatch:
    """Steps the dreams of all sessions. Those that are stepped together stay rows of one batch."""

    def __init__(self, model: WorldModel) -> None:
        self.model = model
        self._ending = Ending(time_limit=model.world.max_episode_steps)
        self._rows: list[Dream] = []
        self._batch: Dreams | None = None

    def begin(self, frames: np.ndarray, actions: np.ndarray, seed: int) -> Dreams:
        """A dream of one that goes on from frames uint8 [n,H,W,C], with the encoded actions [n-1,D] between them; as
        Dream-v0 does when it is reset with this seed and these frames."""
        return Dreams.begin(
            self.model,
            torch.from_numpy(np.ascontiguousarray(frames))[None],
            torch.from_numpy(np.ascontiguousarray(actions, np.float32))[None],
            noise_seeds([(seed, 0)]),
            ending=self._ending,
        )

    def step(self, requests: Sequence[StepRequest]) -> list[Imagined]:
        """One step of each, in one batch for every number of passes requested; in the order of `requests`."""
        results: dict[Dream, Imagined] = {}
        for passes in sorted({request.passes for request in requests}):
            group = [request for request in requests if request.passes == passes]
            batch = self._gather([request.dream for request in group])
            batch.num_inference_steps = passes
            step = batch.step(torch.from_numpy(np.stack([request.action for request in group])))
            frames = float_to_frames(step.frame).cpu().numpy()
            numbers = torch.stack([step.reward, step.termination_probability, step.uncertainty], 1).tolist()
            terminated, truncated = step.terminated.tolist(), step.truncated.tolist()
            for row, dream in enumerate(request.dream for request in group):
                reward, termination, error = numbers[row]
                trace = Trace.of_row(batch.state, row, dream.time)
                dream.time += 1
                results[dream] = Imagined(
                    frame=frames[row].copy(),
                    reward=reward,
                    termination=termination,
                    terminated=terminated[row],
                    truncated=truncated[row],
                    uncertainty=error if np.isfinite(error) else None,
                    trace=trace,
                )
        return [results[request.dream] for request in requests]

    def forget(self, dream: Dream) -> None:
        """It is stepped no more."""
        if dream.alone is None:
            self._scatter()

    def _gather(self, dreams: list[Dream]) -> Dreams:
        """Dreams with these as its rows, in order; the last ones where they are the same."""
        if self._batch is not None:
            if self._rows == dreams:
                return self._batch
            self._scatter()
        parts = [dream.alone for dream in dreams if dream.alone is not None]
        assert len(parts) == len(dreams), "a dream is a row of the batch or alone"
        if len(parts) == 1:
            return parts[0]
        state = DreamState.concatenate([part.state for part in parts])
        episodes = Episodes.concatenate([part.episodes for part in parts])
        for dream in dreams:
            dream.alone = None
        self._rows, self._batch = dreams, Dreams(self.model, state, None, self._ending, episodes)
        return self._batch

    def _scatter(self) -> None:
        assert self._batch is not None
        for row, dream in enumerate(self._rows):
            dream.alone = self._batch.select(torch.tensor([row]))
        self._rows, self._batch = [], None


def memory_steps(start: Dreams) -> int:
    """How many of the last traces `restore` needs, where there have been as many steps."""
    return max(start.state.memory.times.shape[1], start.state.recent.shape[1])


def restore(start: Dreams, traces: Sequence[Trace]) -> Dreams:
    """The dream after the last of `traces`: at least the last `memory_steps` steps since `start`, or all."""
    dreams = start.select(torch.zeros(1, dtype=torch.int64))
    if not traces:
        return dreams
    state, last = dreams.state, traces[-1]
    slots, recent = state.memory.times.shape[1], state.recent.shape[1]
    for trace in traces[-slots:]:
        slot = trace.time % slots
        state.memory.keys[:, 0, :, :, slot] = trace.keys
        state.memory.values[:, 0, :, :, slot] = trace.values
        state.memory.times[0, slot] = trace.time
    for age in range(recent):
        known = age < len(traces)
        state.recent[0, age] = traces[-1 - age].frame if known else start.state.recent[0, age - len(traces)]
    dreams.episodes.step += last.time + 1 - state.time
    state.time[0] = last.time + 1
    state.features[0] = last.features
    state.evidence.spread[0], state.evidence.steps[0] = last.spread, last.steps
    return dreams
