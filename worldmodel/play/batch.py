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
from worldmodel.model.state import DreamState
from worldmodel.model.world_model import WorldModel


@dataclass(eq=False)
class Dream:
    """One session's dream. state: a dream of one, None while it is a row of the batch; time: of its next step."""

    state: DreamState | None
    time: int


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
    """The result of a step. frame uint8 [H,W,C]; termination: its probability; uncertainty in grey levels, None
    where it is not calibrated."""

    frame: np.ndarray
    reward: float
    termination: float
    terminated: bool
    uncertainty: float | None
    trace: Trace


class DreamBatch:
    """Everything of play that steps the model. Dreams that are stepped together stay rows of one state."""

    def __init__(self, model: WorldModel) -> None:
        self.model = model
        self._batch: tuple[list[Dream], DreamState] | None = None

    def begin(self, frames: np.ndarray, actions: np.ndarray, seed: int) -> DreamState:
        """A dream of one that goes on from frames uint8 [n,H,W,C], with the encoded actions [n-1,D] between them."""
        return self.model.begin(
            torch.from_numpy(np.ascontiguousarray(frames))[None],
            torch.from_numpy(np.ascontiguousarray(actions, np.float32))[None],
            torch.tensor([seed], dtype=torch.int64),
        )

    def step(self, requests: Sequence[StepRequest]) -> list[Imagined]:
        """One step of each, in one batch for every number of passes requested; in the order of `requests`."""
        results: dict[Dream, Imagined] = {}
        for passes in sorted({request.passes for request in requests}):
            group = [request for request in requests if request.passes == passes]
            state = self._gather([request.dream for request in group])
            actions = torch.from_numpy(np.stack([request.action for request in group]).astype(np.float32))
            step = self.model.step(state, actions, passes)
            frames = float_to_frames(step.frame).cpu().numpy()
            numbers = torch.stack([step.reward, step.termination_probability, step.uncertainty], 1).tolist()
            for row, dream in enumerate(request.dream for request in group):
                reward, termination, spread = numbers[row]
                uncertainty = spread if np.isfinite(spread) else None
                trace = Trace.of_row(state, row, dream.time)
                dream.time += 1
                results[dream] = Imagined(
                    frames[row].copy(), reward, termination, termination > 0.5, uncertainty, trace
                )
        return [results[request.dream] for request in requests]

    def forget(self, dream: Dream) -> None:
        """It is stepped no more."""
        if dream.state is None:
            self._scatter()

    def _gather(self, dreams: list[Dream]) -> DreamState:
        """A state with these dreams as its rows, in order; the last one where they are the same."""
        if self._batch is not None:
            if self._batch[0] == dreams:
                return self._batch[1]
            self._scatter()
        states = [dream.state for dream in dreams if dream.state is not None]
        assert len(states) == len(dreams), "a dream is a row of the batch or has a state"
        if len(states) == 1:
            return states[0]
        state = DreamState.concatenate(states)
        for dream in dreams:
            dream.state = None
        self._batch = dreams, state
        return state

    def _scatter(self) -> None:
        assert self._batch is not None
        dreams, state = self._batch
        for row, dream in enumerate(dreams):
            dream.state = state.select(torch.tensor([row], device=state.time.device))
        self._batch = None


def memory_steps(start: DreamState) -> int:
    """How many of the last traces `restore` needs, where there have been as many steps."""
    return max(start.memory.times.shape[1], start.recent.shape[1])


def restore(start: DreamState, traces: Sequence[Trace]) -> Dream:
    """The dream after the last of `traces`: at least the last `memory_steps` steps since `start`, or all."""
    state = start.select(torch.zeros(1, dtype=torch.int64, device=start.time.device))
    if not traces:
        return Dream(state, int(state.time[0]))
    slots, recent = state.memory.times.shape[1], state.recent.shape[1]
    for trace in traces[-slots:]:
        slot = trace.time % slots
        state.memory.keys[:, 0, :, :, slot] = trace.keys
        state.memory.values[:, 0, :, :, slot] = trace.values
        state.memory.times[0, slot] = trace.time
    for age in range(recent):
        known = age < len(traces)
        state.recent[0, age] = traces[-1 - age].frame if known else start.recent[0, age - len(traces)]
    last = traces[-1]
    state.time[0] = last.time + 1
    state.features[0] = last.features
    state.evidence.spread[0], state.evidence.steps[0] = last.spread, last.steps
    return Dream(state, last.time + 1)
