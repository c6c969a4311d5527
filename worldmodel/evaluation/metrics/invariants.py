"""M3: energy and momentum, as far as the simulator itself keeps them, of dreams that really move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worldmodel.evaluation.metrics.mechanics import Mechanics
from worldmodel.evaluation.metrics.state_error import Scale
from worldmodel.evaluation.statistics import Estimate, share

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
LEAST_PATH = 0.2  # of the true path: a dream that moves less is given nothing
WINDOW = 5  # steps over which paths are compared
RESTING = 1e-3  # sigmas a step: where the truth moves less there is no path to compare with


@dataclass(frozen=True)
class Invariants:
    """energy, momentum: mean score from 0 to 1; energy_drift, momentum_error: the mean difference itself, in units of
    the mean true kinetic energy and momentum, of steps that moved; moving: share of steps that did."""

    energy: Estimate
    momentum: Estimate
    energy_drift: Estimate
    momentum_error: Estimate
    moving: Estimate


def invariants(dream: Mechanics, truth: Mechanics, moving: Mask, valid: Mask) -> Invariants:
    """How much energy and momentum changed since the context, against how much they did in truth under the same
    actions.

    The simulator's own drift, the work of the motors and what friction takes are in both, and so cancel. moving: see
    `moves`; a step that does not move scores 0, and so does one whose state is not known.
    """
    joule, impulse = float(truth.kinetic.mean()), float(truth.flow.mean())
    energy = np.abs(_change(dream.energy) - _change(truth.energy)) / max(joule, 1e-12)
    momentum = np.linalg.norm(_change(dream.momentum) - _change(truth.momentum), axis=-1) / max(
        impulse, 1e-12
    )
    known = valid & moving & np.isfinite(energy)
    return Invariants(
        energy=_score(energy, known, valid),
        momentum=_score(momentum, known, valid),
        energy_drift=share(np.where(known, energy, 0.0).sum(1), known.sum(1)),
        momentum_error=share(np.where(known, momentum, 0.0).sum(1), known.sum(1)),
        moving=share((valid & moving).sum(1), valid.sum(1)),
    )


def moves(predicted: Floats, truth: Floats, first: Floats, scale: Scale) -> Mask:
    """bool [N,h]: whether the path of features [N,h,D] over the last WINDOW steps is at least LEAST_PATH of the true
    one.

    Both begin at the context's own features, first [N,D]. Where the truth rests, anything counts as moving.
    """
    dreamt, true = (_path(part, first, scale) for part in (predicted, truth))
    return (dreamt >= LEAST_PATH * true) | (true < RESTING * WINDOW)


def _path(features: Floats, first: Floats, scale: Scale) -> Floats:
    """Length [N,h] of the path of the last WINDOW steps, in sigmas."""
    places = np.concatenate([first[:, None], features], axis=1)[..., scale.places] / scale.sigma[scale.places]
    lengths = np.nan_to_num(np.linalg.norm(np.diff(places, axis=1), axis=-1))
    whole = np.cumsum(lengths, axis=1)
    return whole - np.pad(whole[:, :-WINDOW], ((0, 0), (min(WINDOW, whole.shape[1]), 0)))


def _change(values: Floats) -> Floats:
    """Since the context: [N,1+h,...] -> [N,h,...]."""
    return values[:, 1:] - values[:, :1]


def _score(off: Floats, known: Mask, valid: Mask) -> Estimate:
    points = np.where(known, np.clip(1 - np.nan_to_num(off), 0.0, 1.0), 0.0)
    return share(points.sum(1), valid.sum(1))
