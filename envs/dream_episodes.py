"""Where N dreams stand in their episodes: seeds, counters, and why they were truncated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import numpy as np


class TruncatedBy(IntEnum):
    """Why a step truncated its dream: info["truncated_by"]. Numbers, because TorchRL makes tensors of every info."""

    NOTHING = 0
    TIME_LIMIT = 1
    UNCERTAINTY = 2


@dataclass
class Episodes:
    """seed: uint64 [N]; begun: int64 [N], episodes begun from that seed; context: int64 [N], index of the start
    context, -1 for the caller's own frames; step: int64 [N]; ended: bool [N], and not begun anew since; reason: int64
    [N], see TruncatedBy; uncertainty: float32 [N], expected error of the current frame, NaN at a start."""

    seed: np.ndarray
    begun: np.ndarray
    context: np.ndarray
    step: np.ndarray
    ended: np.ndarray
    reason: np.ndarray
    uncertainty: np.ndarray

    @classmethod
    def none(cls, seeds: Sequence[int]) -> Episodes:
        """Dreams that were never begun."""
        count = len(seeds)
        step, context = np.zeros(count, np.int64), np.full(count, -1, np.int64)
        unknown = np.full(count, np.nan, np.float32)
        ended = np.zeros(count, bool)
        return cls(np.array(seeds, np.uint64), step.copy(), context, step, ended, step.copy(), unknown)

    def __len__(self) -> int:
        return len(self.seed)

    def select(self, index: Any) -> Episodes:
        """Copies of those at `index` [K], repeats allowed."""
        return Episodes(**{name: values[index].copy() for name, values in self.arrays().items()})

    def arrays(self) -> dict[str, np.ndarray]:
        """Field name -> array."""
        return {item.name: getattr(self, item.name) for item in fields(Episodes)}

    def begin(self, index: np.ndarray, streams: Sequence[tuple[int, int]], context: np.ndarray) -> None:
        """Begin those at `index` [K] from these (seed, number of the episode)."""
        self.seed[index] = np.array([seed for seed, _ in streams], np.uint64)
        self.begun[index] = [episode + 1 for _, episode in streams]
        self.context[index] = context
        self.step[index], self.ended[index], self.reason[index] = 0, False, TruncatedBy.NOTHING
        self.uncertainty[index] = np.nan

    def advance(self, uncertainty: np.ndarray, time_limit: int | None, bound: float | None) -> np.ndarray:
        """One step of all; bool [N]: which of them it truncates."""
        self.step = self.step + 1
        self.uncertainty = told(uncertainty)
        self.reason = reasons(self.step, self.uncertainty, time_limit, bound)
        return self.reason != TruncatedBy.NOTHING

    def info(self) -> dict[str, np.ndarray]:
        """What `info` tells of every dream, copied."""
        return {
            "context": self.context.copy(),
            "step": self.step.copy(),
            "uncertainty": self.uncertainty.copy(),
            "truncated_by": self.reason.copy(),
        }


def told(uncertainty: np.ndarray) -> np.ndarray:
    """float32; infinite, not NaN, where nothing is known of an imagined frame's error, which nothing then bounds.

    (Two NaN are never equal, so with them the same step twice would tell two different infos.)
    """
    return np.where(np.isnan(uncertainty), np.inf, uncertainty).astype(np.float32)


def reasons(
    step: np.ndarray, uncertainty: np.ndarray, time_limit: int | None, bound: float | None
) -> np.ndarray:
    """TruncatedBy, of any shape: the time limit is told first where both hold."""
    found = np.full(step.shape, TruncatedBy.NOTHING, np.int64)
    if bound is not None:
        found[uncertainty > bound] = TruncatedBy.UNCERTAINTY
    if time_limit is not None:
        found[step >= time_limit] = TruncatedBy.TIME_LIMIT
    return found
