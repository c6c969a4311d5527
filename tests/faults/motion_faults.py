"""Controls 5 to 11: what moves wrongly, what only looks different, and what is right."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import spoilers
from checks import check, not_tried
from fault_bench import Bench, pictures
from numpy.typing import NDArray

from worldmodel.evaluation.controls import Check
from worldmodel.evaluation.metrics.contacts import allowed_depth
from worldmodel.evaluation.metrics.invariants import WINDOW
from worldmodel.evaluation.metrics.mechanics import mechanics_of
from worldmodel.evaluation.metrics.state_error import FAILS, overall_nrmse, scale_of, state_error
from worldmodel.evaluation.metrics.symmetry import time_arrow
from worldmodel.evaluation.moments.action_changes import scaled
from worldmodel.evaluation.moments.rollouts import Contexts, Reading
from worldmodel.evaluation.moments.simulator import SimulatorSource
from worldmodel.evaluation.moments.wrong_physics import WrongPhysics

Floats = NDArray[np.float64]
Frames = NDArray[np.uint8]
SHARE = 0.05  # of what shuffled actions do: a change of light, focus or noise may do so much
PARAMETERS, FACTORS = ("gravity", "mass", "friction"), (0.6, 0.8, 1.0, 1.2, 1.4)
PHYSICS_CONTEXTS, PHYSICS_STEPS = 12, 8
TIE = 0.95  # the next error may be so little lower: one impact missed decides as much
EFFECT = 0.01  # nRMSE: a parameter that does less does not matter in this scene
DEPTHS = (0.0, 0.005, 0.01, 0.02, 0.05)  # [m]
STRAIGHT = 0.8  # of the way that a body is pushed must become depth
GATE, AREA_GATE = 0.95, 0.1
REACH, STRIDE, FINER = 3.0, 0.05, 50  # [m], [m]: how far and how finely a touch is looked for


def frozen(bench: Bench) -> list[Check]:
    """M1, M6 and the freeze bias fail, and M3 gives nothing for standing still."""
    steps = bench.contexts.horizon
    start = steps // 4
    reading = bench.probe.read(bench.contexts.frames, _uint8(spoilers.freeze(bench.frames, start)))
    branches = pictures(bench.branch_rollouts)
    still = bench.read_branches(_uint8(spoilers.freeze(branches, branches.shape[1] // 4)))
    floor = bench.energy(bench.truth.features)
    reward = bench.energy(spoilers.freeze(bench.truth.features, start))
    most = floor * float(bench.valid[:, : start + WINDOW].sum() / bench.valid.sum())
    found = [
        check("M1", f"nRMSE at the last step above {FAILS}", bench.error_at(-1, reading.features), FAILS),
        check("M3", f"energy score at most {most:.2f}, that of the steps that moved", reward, 0.0, most),
        check("M6", "CF-R2 below 0.5", bench.cf_r2(still), high=0.5),
    ]
    if not bench.counted.any():
        return [*found, not_tried("M4", "freeze bias above 0.3", "the probe finds no object")]
    return [*found, check("M4", "freeze bias above 0.3", bench.permanence(reading).freeze_bias.value, 0.3)]


def reversed_time(bench: Bench) -> list[Check]:
    """The same frames in the opposite order are another future."""
    reading = bench.probe.read(bench.contexts.frames, _uint8(spoilers.reverse(bench.frames)))
    found = [
        check("M1", f"nRMSE at the first step above {FAILS}", bench.error_at(0, reading.features), FAILS)
    ]
    if not bench.scale.used.any():
        return [*found, not_tried("M7", "reversed over forward error above 1.5", "no feature is trusted")]
    row = bench.floor.features
    arrow = time_arrow(row, bench.told, bench.valid, bench.scale).value
    return [*found, check("M7", "reversed over forward error above 1.5", arrow, 1.5)]


def wrong_actions(bench: Bench) -> list[Check]:
    """CF-R2 of futures under other actions."""
    others = bench.cf_r2(bench.branches_elsewhere)
    found = [check("M6", "shuffled: CF-R2 from -1.6 to -0.4", others, -1.6, -0.4)]
    if not bench.codec.layout.boxes.all():
        return [*found, not_tried("M6", "negated, halved", "choices cannot be negated or halved")]
    negated = bench.cf_r2(bench.branches_under(scaled(-1.0, bench.codec)))
    halved = bench.cf_r2(bench.read_branches(pictures(bench.halved_branches)))
    return [
        *found,
        check("M6", "negated: CF-R2 below -1.5", negated, high=-1.5),
        check("M6", "halved: CF-R2 from 0.4 to 0.8", halved, 0.4, 0.8),
    ]


def disturbed(bench: Bench) -> list[Check]:
    """Pictures that only look different say the same, or are not read at all."""
    rng = np.random.default_rng(bench.seed)
    changes: dict[str, Callable[[Frames], Frames]] = {
        "brightness": spoilers.brightness,
        "blur": spoilers.blur,
        "noise": lambda frames: spoilers.noise(frames, rng),
    }
    found = []
    for name, change in changes.items():
        found += _disturbance(bench, name, change)
    return found


def wrong_physics(bench: Bench) -> list[Check]:
    """The further from the true physics, the larger M1 of the simulator's own states."""
    few = bench.contexts.select(np.arange(min(PHYSICS_CONTEXTS, len(bench.contexts))))
    few = few.under(few.actions[:, : min(PHYSICS_STEPS, few.horizon)])
    found = []
    for parameter in PARAMETERS:
        errors = [_error_under(bench, few, WrongPhysics(parameter, factor)) for factor in FACTORS]
        expected = f"{parameter}: nRMSE rises both ways from factor 1"
        if max(errors) < EFFECT:
            found.append(not_tried("M1", expected, "it hardly matters in this scene"))
            continue
        falls, rises = (all(TIE * a < b for a, b in pairwise(side)) for side in (errors[2::-1], errors[2:]))
        found.append(Check("M1", expected, " ".join(f"{error:.3f}" for error in errors), falls and rises))
    return found


def nothing_wrong(bench: Bench) -> list[Check]:
    """The truth has no error, keeps every law, and answers perfectly; through the probe it is at the probe's floor."""
    truth, branches = bench.truth.features, bench.branch_rollouts.truth
    assert branches is not None
    exact = scale_of(truth, bench.valid, bench.subject.spec)
    errors = state_error(truth, truth, bench.valid, exact)
    f1 = bench.contact_f1(truth)
    found = [
        check("M1", "nRMSE 0", overall_nrmse(errors.both, bench.valid).value, 0.0, 0.0),
        check(
            "M1", "through the probe: nRMSE below 0.25", bench.state_error(bench.floor.features), 0.0, 0.25
        ),
        check("M3", "energy score 1", bench.energy(truth), 1.0),
        check("M6", "CF-R2 1", bench.cf_r2(bench.branches.unflat(branches.features)), 1 - 1e-9),
    ]
    if not math.isnan(f1):
        found.append(check("M5", "contact F1 1", f1, 1.0))
    read = bench.read_branches(pictures(bench.branch_rollouts))
    found.append(check("M6", "through the probe: CF-R2 above 0.9", bench.cf_r2(read), 0.9))
    if bench.counted.any():
        there = bench.permanence(bench.floor).all.value
        found.append(check("M4", "through the probe: permanence above 0.95", there, 0.95))
    return found


def penetrating(bench: Bench) -> list[Check]:
    """A body that touches another is pushed into it."""
    expected = "depth beyond the simulator's own: 0 for the truth, then rising"
    allowed = allowed_depth(bench.mechanics)
    every = (push for number in range(len(bench.contexts)) for push in _touches(bench, number))
    touching = next((push for push in every if push.is_straight(allowed + DEPTHS[-1])), None)
    if touching is None:
        return [not_tried("M5", expected, "nothing can be pushed straight into anything here")]
    beyond = np.maximum(touching.depths(allowed + np.array(DEPTHS)) - allowed, 0.0)
    truth = np.maximum(bench.mechanics.depth[:, 1:] - allowed, 0.0).max()
    rises = bool((np.diff(beyond) > 0).all() and truth == 0)
    told = ", ".join(f"{1000 * value:.1f}" for value in (truth, *beyond[1:]))
    return [Check("M5", expected, f"{told} mm for 0, 5, 10, 20, 50 mm", rises)]


def _disturbance(bench: Bench, name: str, change: Callable[[Frames], Frames]) -> list[Check]:
    reading = bench.probe.read(change(bench.contexts.frames), change(bench.frames))
    pairs = zip(np.moveaxis(reading.features, -1, 0), np.moveaxis(bench.told, -1, 0), strict=True)
    kept = bench.scale.used & np.array([_r2(*pair) >= GATE for pair in pairs])
    past, branches = change(bench.branches.flat().frames), change(pictures(bench.branch_rollouts))
    whole = bool(np.isfinite(bench.floor.features).all())  # nothing is ever hidden
    readable = {
        "M1": kept.any(),
        "M3": whole and kept.all(),
        "M4": _seen_as_they_are(bench, reading),
        "M5": whole and kept[~bench.subject.spec.velocities].all(),
        "M6": kept.any(),
    }
    found = []
    for metric, read in readable.items():
        expected = f"{name}: moves by less than 5 % of what shuffled actions do"
        if not read:
            found.append(not_tried(metric, expected, "such pictures do not pass the probe's gate"))
            continue
        floor, (there, elsewhere) = bench.span(metric, kept)[0], bench.span(metric)
        if metric == "M6":
            now = bench.cf_r2(bench.read_branches(branches, past), kept)
        else:
            now = bench.value(metric, reading, kept)
        span = abs(elsewhere - there)
        share = abs(now - floor) / span if span else math.nan
        most = max(SHARE, bench.one_touch / span) if metric == "M5" and span else SHARE
        found.append(check(metric, expected, share, 0.0, most))
    return found


def _seen_as_they_are(bench: Bench, reading: Reading) -> bool:
    """Whether the objects' areas are found, to a tenth, as the masks' gate asks of real frames."""
    counted = bench.counted & (bench.truth.views.area > 0)
    if not counted.any():
        return False
    off = np.abs(reading.views.area - bench.truth.views.area)[counted] / bench.truth.views.area[counted]
    return float(off.mean()) <= AREA_GATE


def _error_under(bench: Bench, contexts: Contexts, physics: WrongPhysics) -> float:
    if physics.factor == 1.0:
        return 0.0
    row = SimulatorSource(physics.name, bench.subject, physics=physics).rollouts(contexts)
    assert row.truth is not None
    part = np.s_[: len(contexts), : contexts.horizon]
    scale = scale_of(bench.truth.features, bench.valid, bench.subject.spec)
    errors = state_error(row.truth.features, bench.truth.features[part], bench.valid[part], scale)
    return overall_nrmse(errors.both, bench.valid[part]).value


@dataclass(frozen=True)
class _Push:
    """A context's state in which one body is moved: by its position feature number `feature`, `way` (1 or -1)."""

    bench: Bench
    number: int
    feature: int
    way: float
    start: float = 0.0  # [m] along the way

    def depths(self, reaches: Floats) -> Floats:
        """How deep bodies overlap after moving on by so much [m]."""
        one = self.bench.contexts.select(np.array([self.number]))
        first = self.bench.truth.first[[self.number]]
        moved = np.repeat(first[:, None], len(reaches), axis=1)
        moved[0, :, self.feature] += self.way * (self.start + reaches)
        return mechanics_of(one, self.bench.subject.spec, first, moved).depth[0, 1:]

    def is_straight(self, reach: float) -> bool:
        """Whether it goes on into the other, where a body that only grazes it would slide past."""
        return bool(self.depths(np.array([reach]))[0] >= STRAIGHT * reach)


def _touches(bench: Bench, number: int) -> Iterator[_Push]:
    """In a context where nothing overlaps, bodies moved to where they just touch another."""
    reaches = np.arange(0.0, REACH, STRIDE)
    for feature, told in enumerate(bench.subject.spec.features):
        for way in (1.0, -1.0) if told.kind == "position" else ():
            push = _Push(bench, number, feature, way)
            overlap = push.depths(reaches) > 0
            if overlap[0] or not overlap.any():
                continue
            for stride in (STRIDE, STRIDE / FINER):  # find where it begins ever more exactly
                nearer = replace(push, start=push.start + stride * (overlap.argmax() - 1))
                overlap = nearer.depths(np.arange(FINER + 1) * stride / FINER) > 0
                push = nearer
            yield replace(push, start=push.start + STRIDE / FINER**2 * (overlap.argmax() - 1))


def _r2(predicted: Floats, truth: Floats) -> float:
    """Where the truth is told; what is not read is as wrong as the mean."""
    asked = np.isfinite(truth)
    if not asked.any():
        return 0.0
    true = truth[asked] - truth[asked].mean()
    off = np.where(np.isfinite(predicted[asked]), predicted[asked] - truth[asked], true)
    return float(1 - (off**2).sum() / max((true**2).sum(), 1e-12))


def _uint8(frames: NDArray[np.generic]) -> Frames:
    return frames.astype(np.uint8)
