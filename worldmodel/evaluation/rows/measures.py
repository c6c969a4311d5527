"""M1 to M7 and M10 of one row, as estimates by name, or the reason why one cannot be had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worldmodel.errors import WorldModelError
from worldmodel.evaluation.metrics.contacts import contacts, free_flight_limits, speed_jumps
from worldmodel.evaluation.metrics.invariants import invariants, moves
from worldmodel.evaluation.metrics.mechanics import Mechanics, mechanics_of
from worldmodel.evaluation.metrics.permanence import AREA, LEAST_AREA, STRATA, permanence
from worldmodel.evaluation.metrics.pictures import MEASURES
from worldmodel.evaluation.metrics.state_error import (
    StateError,
    lasting,
    nrmse,
    overall_nrmse,
    skill,
    state_error,
)
from worldmodel.evaluation.metrics.symmetry import time_arrow
from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.evaluation.rows.rows import COPY, NOISY, SIMULATOR, Row, Scene
from worldmodel.evaluation.statistics import Bootstrap, Estimate, Interval, mean, share

Floats = NDArray[np.float64]
HORIZONS = (1, 5, 10, 25, 50, 100)
Found = dict[str, "Estimate | NotMeasured"]
Number = Interval | NotMeasured
Told = Mapping[str, Number]
STATE_NUMBERS = ("nrmse", "nrmse places", "nrmse velocities", "skill", "usable", "usable ratio")
LAWS, TOUCHES = ("energy", "momentum", "moving"), ("too deep", "unread", "contact f1", "ghosts")
LEAST_ASKED = 20  # object-frames, below which a stratum of M4 says nothing


@dataclass(frozen=True)
class Measured:
    """Of one row. numbers: measure -> value with interval, or why there is none; curves: measure -> one interval
    for each step; traces: name -> [h] means over contexts."""

    numbers: Told
    curves: Mapping[str, list[Interval]]
    traces: Mapping[str, list[float]]


def measure_rows(rows: Mapping[str, Row], scene: Scene) -> dict[str, Measured]:
    """All rows of one split, on the same contexts."""
    errors = {name: _error(row, scene) for name, row in rows.items()}
    moving = {name: _mechanics(row, scene) for name, row in rows.items()}
    limits = _flight_limits(rows.get(SIMULATOR), moving.get(SIMULATOR), scene)
    measured = {}
    for name, row in rows.items():
        found: Found = {}
        curves: dict[str, list[Interval]] = {}
        error = errors[name]
        if error is None:
            unsure = "The probe is not sure enough of any feature (R^2 below 0.95)."
            found |= dict.fromkeys(STATE_NUMBERS, NotMeasured(scene.why or unsure))
        else:
            states, curves = _states(error, errors, scene)
            found |= states
        found |= _laws(row, moving[name], limits, scene)
        found |= _objects(row, scene)
        found |= _pictures(row, rows.get(COPY), scene)
        told = intervals(found, scene.bootstrap)
        measured[name] = Measured(told, curves, _traces(moving[name], scene))
    return measured


def intervals(found: Found, bootstrap: Bootstrap) -> dict[str, Interval | NotMeasured]:
    """Every estimate of one number with its interval; what nothing was counted for is not measured."""
    told: dict[str, Interval | NotMeasured] = {}
    for name, estimate in found.items():
        if isinstance(estimate, NotMeasured):
            told[name] = estimate
            continue
        interval = bootstrap.one(estimate)
        told[name] = NotMeasured("Nothing to count here.") if np.isnan(interval.mean) else interval
    return told


def state_estimate(row: Row, scene: Scene) -> Estimate | None:
    """nRMSE of places and velocities over all steps: what orders of rows and differences of models are judged by."""
    error = _error(row, scene)
    return None if error is None else overall_nrmse(error.both, scene.valid)


def present_estimate(row: Row, scene: Scene) -> Estimate | None:
    """Permanence over all object-frames; None where objects cannot be told apart."""
    found = _objects(row, scene)["present"]
    return found if isinstance(found, Estimate) else None


def _error(row: Row, scene: Scene) -> StateError | None:
    if scene.why or not scene.scale.used.any():
        return None
    return state_error(row.features, scene.told, scene.valid, scene.scale)


def _states(
    error: StateError, errors: Mapping[str, StateError | None], scene: Scene
) -> tuple[Found, dict[str, list[Interval]]]:
    valid = scene.valid
    found: Found = {"nrmse": overall_nrmse(error.both, valid)}
    curves = {"nrmse": scene.bootstrap.of(nrmse(error.both, valid))}
    for name, part in (("nrmse places", error.places), ("nrmse velocities", error.velocities)):
        if np.isnan(part).all():
            found[name] = NotMeasured("The probe is sure of no such feature.")
        else:
            found[name] = overall_nrmse(part, valid)
            curves[name] = scene.bootstrap.of(nrmse(part, valid))
    for step in (h for h in HORIZONS if h <= valid.shape[1]):
        found[f"nrmse at {step}"] = overall_nrmse(error.both[:, step - 1 : step], valid[:, step - 1 : step])
    copied = errors.get(COPY)
    if copied is not None:
        flat = [
            np.where(valid & np.isfinite(e), e, 0.0).sum(1, keepdims=True) for e in (error.both, copied.both)
        ]
        found["skill"] = skill(flat[0], flat[1], np.ones_like(flat[0], bool))
        curves["skill"] = scene.bootstrap.of(skill(error.both, copied.both, valid))
    lasts = lasting(error.both, valid)
    found["usable"] = lasts.median()
    noisy = errors.get(NOISY)
    if noisy is not None:
        other = lasting(noisy.both, valid)
        within = np.isfinite(other.median().value)
        why = "The simulator with 10 % action noise outlasts the horizon, so there is no ratio to it."
        found["usable ratio"] = lasts.ratio(other) if within else NotMeasured(why)
    return found, curves


def _mechanics(row: Row, scene: Scene) -> Mechanics | None:
    """Of the states that the probe reads; None where it cannot read all places."""
    if scene.mechanics is None:
        return None
    return mechanics_of(scene.contexts, scene.probe.spec, scene.known.first, row.features)


def _laws(row: Row, dream: Mechanics | None, limits: Floats | None, scene: Scene) -> Found:
    spec, sure = scene.probe.spec, scene.probe.trusted_features
    unsure = ", ".join(f.name for f, trusted in zip(spec.features, sure, strict=True) if not trusted)
    why = scene.why or f"The probe is not sure enough of all that this needs (R^2 below 0.95: {unsure})."
    found: Found = dict.fromkeys((*LAWS, *TOUCHES), NotMeasured(why))
    if scene.mechanics is None or dream is None or limits is None:
        return found
    truth, valid = scene.known, scene.valid
    jumps = speed_jumps(row.features, truth.first, spec, scene.bodies)
    touch = contacts(dream, scene.mechanics, jumps, limits, valid)
    found |= dict(zip(TOUCHES, (touch.too_deep, touch.unread, touch.f1, touch.ghosts), strict=True))
    if sure.all():
        moving = moves(row.features, truth.features, truth.first, scene.scale)
        kept = invariants(dream, scene.mechanics, moving, valid)
        found |= {"energy": kept.energy, "momentum": kept.momentum, "moving": kept.moving}
    return found


def _objects(row: Row, scene: Scene) -> Found:
    names = [f"present, {stratum}" for stratum in STRATA]
    every = ("present", *names, "vanished", "duplicated", "swapped", "freeze bias", "freeze bias back")
    if row.pictures is None:
        return dict.fromkeys(every, NotMeasured("This row has no pictures."))
    trusted = scene.probe.trusted_objects
    if not trusted.any():
        untold = "The recording does not tell what is visible of objects."
        why = scene.why or ("No object reaches an IoU of 0.9." if len(trusted) else untold)
        return dict.fromkeys(every, NotMeasured(why))
    if scene.why:
        return {**dict.fromkeys(every, NotMeasured(scene.why)), "present": _counted(row, scene)}
    shape = scene.contexts.frames.shape[2:]
    there = permanence(row.views, scene.known, scene.asked, shape, trusted)
    found: Found = {
        "present": there.all,
        "freeze bias": there.freeze_bias,
        "freeze bias back": there.freeze_bias_back,
    }
    for stratum, estimate in there.present.items():
        count = there.counted[stratum]
        few = NotMeasured(f"Only {count} object-frames, {LEAST_ASKED} are needed.")
        found[f"present, {stratum}"] = estimate if count >= LEAST_ASKED else few
    return found | {name: there.rates[name] for name in ("vanished", "duplicated", "swapped")}


def _counted(row: Row, scene: Scene) -> Estimate:
    """Share of object-frames in which an object's colour covers between half and twice as much as in truth."""
    true, seen = (views.area[..., scene.probe.trusted_objects] for views in (scene.known.views, row.views))
    counts = scene.valid[..., None] & (true >= LEAST_AREA)
    there = counts & (seen >= AREA[0] * true) & (seen <= AREA[1] * true)
    return share(there.sum((1, 2)), counts.sum((1, 2)))


def _pictures(row: Row, copied: Row | None, scene: Scene) -> Found:
    if row.pictures is None:
        reason = NotMeasured("This row has no pictures.")
        return dict.fromkeys([*MEASURES, *(f"{name} gain" for name in MEASURES)], reason)
    found: Found = {name: mean(row.pictures[name], scene.valid, pooled=True) for name in MEASURES}
    if copied is not None and copied.pictures is not None:
        for name in MEASURES:
            found[f"{name} gain"] = mean(row.pictures[name] - copied.pictures[name], scene.valid, pooled=True)
    return found


def _flight_limits(simulator: Row | None, moving: Mechanics | None, scene: Scene) -> Floats | None:
    if simulator is None or moving is None:
        return None
    jumps = speed_jumps(simulator.features, scene.known.first, scene.probe.spec, scene.bodies)
    return free_flight_limits(moving, jumps, scene.valid)


def _traces(dream: Mechanics | None, scene: Scene) -> dict[str, list[float]]:
    """Mean energy and momentum of the probed states over time, for a plot."""
    if dream is None or not scene.probe.trusted_features.all():
        return {}
    columns = {"energy": dream.energy, "kinetic energy": dream.kinetic, "momentum": dream.flow}
    valid = np.concatenate([np.ones((len(scene.valid), 1), bool), scene.valid], axis=1)
    traces = {}
    for name, values in columns.items():
        known = valid & np.isfinite(values)
        sums, counts = np.where(known, values, 0.0).sum(0), known.sum(0)
        traces[name] = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0).tolist()
    return traces


def arrow(row: Row, scene: Scene) -> Interval | NotMeasured:
    """M7: the same future read backwards must be worse."""
    if scene.why:
        return NotMeasured(scene.why)
    try:
        found = time_arrow(row.features, scene.told, scene.valid, scene.scale)
    except WorldModelError as error:
        return NotMeasured(str(error))
    return intervals({"arrow": found}, scene.bootstrap)["arrow"]
