"""A future: the moments that a person drove through, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from worldmodel.model.dreams import Dreams
from worldmodel.play.batch import Dream, Trace, memory_steps, restore


@dataclass(frozen=True)
class Moment:
    """Frame x_t of the dream with the action and all that led to it, and the simulator's beside it.

    frame, real: uint8 [H,W,C]; action (as stored), reward: None at the start; termination: probability of the end;
    uncertainty in grey levels; psnr of frame to real in dB; trace: None at the start and where it is too long ago;
    real_state: what brings the simulator back; real_info: the simulator's info; total, real_total: sums of the rewards
    since t = 0.
    """

    frame: np.ndarray
    real: np.ndarray | None = None
    action: np.ndarray | None = None
    reward: float | None = None
    real_reward: float | None = None
    termination: float = 0.0
    terminated: bool = False
    real_ended: bool = False
    uncertainty: float | None = None
    psnr: float | None = None
    trace: Trace | None = None
    real_state: Any = None
    real_info: Mapping[str, Any] = field(default_factory=dict)
    total: float = 0.0
    real_total: float = 0.0


@dataclass
class Future:
    """name: of the future; start: the dream at t = 0; moments: t = first, first + 1, ...; at: the t that is shown.

    born: the t at which it left the future it was branched from."""

    name: str
    start: Dreams
    moments: list[Moment]
    first: int = 0
    at: int = 0
    born: int = 0
    traced: int = field(default=0, repr=False)  # moments before this t have lost their trace

    @property
    def last(self) -> int:
        """t of the newest moment."""
        return self.first + len(self.moments) - 1

    @property
    def now(self) -> Moment:
        """The moment that is shown."""
        return self[self.at]

    @property
    def earliest(self) -> int:
        """The first t that can be gone back to."""
        if self.traced == 0:
            return self.first
        return max(self.first, self.traced + memory_steps(self.start) - 1)

    def __getitem__(self, t: int) -> Moment:
        return self.moments[t - self.first]

    def dream(self) -> Dream:
        """The dream at the moment that is shown, bit for bit as it was."""
        shown = self.at - self.first + 1
        span = self.moments[max(0, shown - memory_steps(self.start)) : shown]
        return Dream.of(restore(self.start, [moment.trace for moment in span if moment.trace is not None]))

    def actions(self) -> list[np.ndarray]:
        """All from t = 0 to the moment that is shown; only while no moment was forgotten (first is 0)."""
        return [moment.action for moment in self.moments[: self.at + 1] if moment.action is not None]

    def add(self, moment: Moment, traces: int, frames: int) -> None:
        """Go on from the moment that is shown, in place of what came after it. traces, frames: how many to keep."""
        del self.moments[self.at - self.first + 1 :]
        self.moments.append(moment)
        self.at = self.last
        while self.last - self.traced >= traces:  # moments are shared with other futures: none is changed
            if self.traced >= self.first:
                index = self.traced - self.first
                self.moments[index] = replace(self.moments[index], trace=None, real_state=None, real_info={})
            self.traced += 1
        while len(self.moments) > frames:
            del self.moments[0]
            self.first += 1

    def branch(self, name: str) -> Future:
        """Another future that shares the past up to the moment that is shown."""
        return replace(self, name=name, moments=self.moments[: self.at - self.first + 1], born=self.at)
