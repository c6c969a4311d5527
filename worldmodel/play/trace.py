"""What a step changed in a dream, so that every moment can be had back exactly without keeping every state.

A step writes one slot of the ring of keys and values and leaves the others, so a moment is the start, and over it the
last steps: as many as the ring has slots. Nothing is imagined anew: the same step in a batch of another size would
differ in its last bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worldmodel.model.state import DreamState


@dataclass(frozen=True)
class Trace:
    """One step of one dream. keys, values: [layers,N,heads,head_dim], what was written to memory at `time`; frame
    [C,H,W], features [F]: of the frame that came; spread, steps: of the evidence after it."""

    time: int
    keys: Tensor
    values: Tensor
    frame: Tensor
    features: Tensor
    spread: Tensor
    steps: Tensor

    @classmethod
    def take(cls, state: DreamState, row: int, time: int) -> Trace:
        """Of the step at `time` that dream number `row` of `state` has just made; copies."""
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


def needed(start: DreamState) -> int:
    """How many of the last traces `restore` needs, where there have been as many steps."""
    return max(start.memory.times.shape[1], start.recent.shape[1])


def restore(start: DreamState, traces: Sequence[Trace]) -> DreamState:
    """A dream of one as it was after the last of `traces`: at least the last `needed` steps since `start`, or all."""
    state = start.select(torch.zeros(1, dtype=torch.int64, device=start.time.device))
    if not traces:
        return state
    slots, kept = state.memory.times.shape[1], state.recent.shape[1]
    for trace in traces[-slots:]:
        slot = trace.time % slots
        state.memory.keys[:, 0, :, :, slot] = trace.keys
        state.memory.values[:, 0, :, :, slot] = trace.values
        state.memory.times[0, slot] = trace.time
    for age in range(kept):
        known = age < len(traces)
        state.recent[0, age] = traces[-1 - age].frame if known else start.recent[0, age - len(traces)]
    last = traces[-1]
    state.time[0] = last.time + 1
    state.features[0] = last.features
    state.evidence.spread[0], state.evidence.steps[0] = last.spread, last.steps
    return state
