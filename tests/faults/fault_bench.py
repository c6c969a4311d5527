"""A bench on which metrics are tried out: true simulator rollouts, the probe, and what each metric says of any
frames."""

from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from worldmodel.body_names import body_names
from worldmodel.evaluation.metrics.contacts import contacts, count_events, free_flight_limits, speed_jumps
from worldmodel.evaluation.metrics.invariants import invariants, moves
from worldmodel.evaluation.metrics.mechanics import Mechanics, mechanics_of
from worldmodel.evaluation.metrics.permanence import Asked, Permanence, asked, permanence
from worldmodel.evaluation.metrics.response import response
from worldmodel.evaluation.metrics.state_error import Scale, overall_nrmse, scale_of, state_error
from worldmodel.evaluation.moments.action_changes import ChangeActions, scaled, shuffled
from worldmodel.evaluation.moments.contexts import branches_of
from worldmodel.evaluation.moments.rollouts import Contexts, Probe, Reading, Rollouts, Truth
from worldmodel.evaluation.moments.sight import in_plain_sight
from worldmodel.evaluation.moments.simulator import SimulatorSource
from worldmodel.evaluation.moments.subject import Subject, mujoco_model
from worldmodel.spaces import ActionCodec

Floats = NDArray[np.float64]
Frames = NDArray[np.uint8]


class Bench:
    """True rollouts of some contexts and of a few contexts' branches, made when first needed.

    branched: how many contexts are branched, for branch_steps steps.
    """

    def __init__(
        self,
        contexts: Contexts,
        subject: Subject,
        probe: Probe,
        branched: int = 8,
        branch_steps: int = 12,
        seed: int = 0,
    ) -> None:
        self.contexts, self.subject, self.probe, self.seed = contexts, subject, probe, seed
        chosen = contexts.select(np.arange(min(branched, len(contexts))))
        self.branches = branches_of(chosen.under(chosen.actions[:, :branch_steps]), seed + 1)
        env = contexts.env.make()
        model = mujoco_model(env)
        self.codec = ActionCodec(env.action_space)
        self._mechanics: dict[bytes, Mechanics] = {}
        self._spans: dict[tuple[str, bytes | None], tuple[float, float]] = {}
        self.bodies = body_names(model)
        env.close()

    @cached_property
    def rollouts(self) -> Rollouts:
        """The truth, with masks."""
        return SimulatorSource("simulator", self.subject, keep_masks=True).rollouts(self.contexts)

    @property
    def truth(self) -> Truth:
        """What the simulator knew of it."""
        assert self.rollouts.truth is not None
        return self.rollouts.truth

    @property
    def frames(self) -> Frames:
        """True frames uint8 [N,h,H,W,C]."""
        return pictures(self.rollouts)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """bool [N,h]."""
        return self.rollouts.valid

    @cached_property
    def told(self) -> Floats:
        """True features [N,h,D] of what is in plain sight, else NaN: what M1 asks for."""
        return in_plain_sight(self.truth, self.subject.spec, self.subject.objects)

    @cached_property
    def scale(self) -> Scale:
        """Of the features that the probe is trusted with."""
        return scale_of(self.told, self.valid, self.subject.spec, self.probe.trusted_features)

    @cached_property
    def floor(self) -> Reading:
        """The truth through the probe."""
        return self.probe.read(self.contexts.frames, self.frames)

    @cached_property
    def elsewhere(self) -> Reading:
        """The simulator with shuffled actions, through the probe."""
        row = SimulatorSource("shuffled actions", self.subject, shuffled(self.seed)).rollouts(self.contexts)
        return self.probe.read(self.contexts.frames, pictures(row))

    def span(self, measure: str, only: NDArray[np.bool_] | None = None) -> tuple[float, float]:
        """What "M1", "M3", "M4", "M5" or "M6" says of the truth, and of the simulator with shuffled actions, as
        read."""
        key = (measure, None if only is None else only.tobytes())
        if key not in self._spans:
            if measure == "M6":
                rows = [self.read_branches(pictures(self.branch_rollouts)), self.branches_elsewhere]
                self._spans[key] = self.cf_r2(rows[0], only), self.cf_r2(rows[1], only)
            else:
                pair = self.floor, self.elsewhere
                self._spans[key] = self.value(measure, pair[0], only), self.value(measure, pair[1], only)
        return self._spans[key]

    def value(self, measure: str, reading: Reading, only: NDArray[np.bool_] | None = None) -> float:
        """What "M1", "M3", "M4" or "M5" says of what was read after the contexts."""
        if measure == "M1":
            return self.state_error(reading.features, only)
        if measure == "M4":
            return self.permanence(reading).all.value
        return self.energy(reading.features) if measure == "M3" else self.contact_f1(reading.features)

    @cached_property
    def branches_elsewhere(self) -> Floats:
        """Features [N,K,h,D], as read, of the branches under shuffled actions."""
        return self.branches_under(shuffled(self.seed))

    @cached_property
    def asked(self) -> Asked:
        """Which object-frames M4 counts."""
        return asked(self.truth, self.valid)

    @property
    def counted(self) -> NDArray[np.bool_]:
        """bool [N,h,n]: the same, of objects that the probe finds."""
        return (self.asked.stratum >= 0) & self.probe.trusted_objects

    @cached_property
    def flight_limits(self) -> Floats:
        """How much steps change in free flight, of every body."""
        jumps = speed_jumps(self.truth.features, self.truth.first, self.subject.spec, self.bodies)
        return free_flight_limits(self.mechanics, jumps, self.valid)

    @cached_property
    def mechanics(self) -> Mechanics:
        """Of the true states."""
        return self.mechanics_of(self.truth.features)

    def mechanics_of(self, features: Floats) -> Mechanics:
        """Of any states that follow the contexts, [N,h,D]; worked out once."""
        key = features.tobytes()
        if key not in self._mechanics:
            self._mechanics[key] = mechanics_of(self.contexts, self.subject.spec, self.truth.first, features)
        return self._mechanics[key]

    def error_at(self, step: int, features: Floats) -> float:
        """M1 at one step, from 0 on, or -1 for the last."""
        if not self.scale.used.any():
            return float("nan")
        error = state_error(features, self.told, self.valid, self.scale)
        return overall_nrmse(error.both[:, [step]], self.valid[:, [step]]).value

    def state_error(self, features: Floats, only: NDArray[np.bool_] | None = None) -> float:
        """M1: nRMSE over all steps and trusted features (`only` some of them, bool [D]); NaN without any."""
        scale = _only(self.scale, only)
        if not scale.used.any():
            return float("nan")
        error = state_error(features, self.told, self.valid, scale)
        return overall_nrmse(error.both, self.valid).value

    def energy(self, features: Floats) -> float:
        """M3: the energy score of whole states."""
        scale = scale_of(self.truth.features, self.valid, self.subject.spec)
        moving = moves(features, self.truth.features, self.truth.first, scale)
        return invariants(self.mechanics_of(features), self.mechanics, moving, self.valid).energy.value

    def permanence(self, reading: Reading) -> Permanence:
        """M4."""
        shape = self.frames.shape[2:]
        return permanence(reading.views, self.truth, self.asked, shape, self.probe.trusted_objects)

    @property
    def one_touch(self) -> float:
        """By how much one touch more or less moves M5."""
        return 2.0 / max(2, count_events(self.mechanics.touching))

    def contact_f1(self, features: Floats) -> float:
        """M5: F1 of contacts beginning and ending; NaN where nothing ever touches."""
        own = speed_jumps(features, self.truth.first, self.subject.spec, self.bodies)
        return contacts(
            self.mechanics_of(features), self.mechanics, own, self.flight_limits, self.valid
        ).f1.value

    @cached_property
    def branch_rollouts(self) -> Rollouts:
        """The truth of all branches, [N*K,h,...]."""
        return SimulatorSource("branches", self.subject).rollouts(self.branches.flat())

    def branches_under(self, change: ChangeActions) -> Floats:
        """Features [N,K,h,D], as read, of the branches under changed actions."""
        row = SimulatorSource("changed branches", self.subject, change).rollouts(self.branches.flat())
        return self.read_branches(pictures(row))

    def read_branches(self, frames: Frames, past: Frames | None = None) -> Floats:
        """Features [N,K,h,D] of frames [N*K,h,H,W,C]; past: the contexts' frames, if they are other ones."""
        before = self.branches.flat().frames if past is None else past
        return self.branches.unflat(self.probe.read(before, frames).features)

    def cf_r2(self, features: Floats, only: NDArray[np.bool_] | None = None) -> float:
        """M6 of features [N,K,h,D] over the trusted ones (`only` some of them); NaN without any."""
        assert self.branch_rollouts.truth is not None
        truth = in_plain_sight(self.branch_rollouts.truth, self.subject.spec, self.subject.objects)
        valid = self.branch_rollouts.valid
        scale = _only(scale_of(truth, valid, self.subject.spec, self.probe.trusted_features), only)
        if not scale.used.any():
            return float("nan")
        unflat = self.branches.unflat
        return response(features, unflat(truth), unflat(valid), scale).cf_r2.value

    @cached_property
    def halved_branches(self) -> Rollouts:
        """The branches with every continuous action times one half."""
        change = scaled(0.5, self.codec)
        return SimulatorSource("halved branches", self.subject, change).rollouts(self.branches.flat())


def pictures(rollouts: Rollouts) -> Frames:
    """The frames of a row that has some."""
    assert rollouts.frames is not None
    return rollouts.frames


def _only(scale: Scale, only: NDArray[np.bool_] | None) -> Scale:
    return scale if only is None else replace(scale, used=scale.used & only)
