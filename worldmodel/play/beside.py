"""The simulator beside a future: it steps along, stops at its own end, and comes back where the dream does."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import torch

from worldmodel.errors import EnvError, WorldModelError, one_line
from worldmodel.evaluation.psnr import psnr
from worldmodel.play.future import Future, Moment
from worldmodel.play.reality import Opening, Reality, RealStep

log = logging.getLogger(__name__)


class Beside:
    """reality: None where there is none, and `absent` says why. here: whether it is at the moment that is driven;
    note: why not."""

    def __init__(self, reality: Reality | None, absent: str) -> None:
        self._reality, self._absent = reality, absent
        self.here = False
        self.note = ""

    @property
    def exists(self) -> bool:
        """Whether there is one."""
        return self._reality is not None

    @property
    def action_names(self) -> list[str] | None:
        """What it calls its Discrete actions, where it does."""
        return None if self._reality is None else self._reality.action_names

    def begin(self, seed: int, frames: int) -> tuple[Opening, RealStep] | None:
        """Its first `frames` frames from this seed; None where there is no simulator, or it fails."""
        if self._reality is None:
            self.leave(self._absent)
            return None
        try:
            opening, step = self._reality.begin(seed, frames)
        except Exception as error:  # as in follow
            self._fail(error)
            return None
        self.here, self.note = True, ""
        return opening, step

    def leave(self, why: str) -> None:
        """It is not at this moment."""
        self.here, self.note = False, why

    def follow(self, moment: Moment, before: Moment, stored: np.ndarray) -> Moment:
        """`moment` with what the simulator makes of the action; after its end, the last picture stays."""
        if not self.here or self._reality is None:
            return moment
        if before.real_ended:
            return replace(moment, real=before.real, real_ended=True, real_info=before.real_info)
        try:
            step = self._reality.step(stored)
        except Exception as error:  # other people's environments raise anything; the dream goes on
            self._fail(error)
            return moment
        near = float(psnr(torch.from_numpy(moment.frame), torch.from_numpy(step.frame)))
        total = before.real_total + step.reward
        return with_real(replace(moment, real_reward=step.reward, real_total=total, psnr=near), step)

    def bring_back(self, future: Future) -> None:
        """To the moment that this future shows, if it was there."""
        moment = future.now
        self.here = moment.real is not None
        if moment.real is None:
            self.note = self.note or "The simulator was not beside this moment: reset to see it again."
            return
        if moment.real_ended:
            return
        assert self._reality is not None, "there was one when the moment came"
        try:
            if moment.real_state is None and future.first:
                raise EnvError("The simulator cannot be brought back so far: reset to see it again.")
            self._reality.bring_back(moment.real_state, future.actions(future.at), moment.real)
            self.note = ""
        except Exception as error:  # as in follow
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, WorldModelError):
            self.leave(str(error))
            return
        log.exception("the simulator failed")
        self.leave(f"The simulator failed ({one_line(error)}): reset to begin anew.")

    def close(self) -> None:
        """Free it."""
        if self._reality is not None:
            self._reality.close()
            self._reality = None


def with_real(moment: Moment, step: RealStep) -> Moment:
    """`moment` with the simulator's picture, and what brings it back there."""
    return replace(
        moment, real=step.frame, real_ended=step.terminated, real_state=step.state, real_info=step.info
    )
