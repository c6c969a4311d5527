"""M5: do things touch when they should, without passing through each other, and do they turn only when touched?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worldmodel.evaluation.metrics.mechanics import Mechanics
from worldmodel.evaluation.moments.state_spec import StateSpec
from worldmodel.evaluation.statistics import Estimate, columns, share

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
QUANTILE = 0.999  # of the simulator's own penetration, which soft contacts need
WITHIN = 2  # frames that an event may be early or late
GHOST = 2.0  # times the largest change of speed that the reference shows in free flight


@dataclass(frozen=True)
class Contacts:
    """penetration: mean depth beyond `allowed` [m], over the frames whose state is known; too_deep: share of these with
    any; f1: of contacts beginning and ending, between the same two bodies, at most WITHIN frames off; ghosts: of 100
    body-frames in free flight, how many change speed as nothing does in free flight. unread: share of frames whose
    state is not known, in which nothing touches."""

    penetration: Estimate
    too_deep: Estimate
    f1: Estimate
    ghosts: Estimate
    unread: Estimate
    allowed: float


def allowed_depth(truth: Mechanics) -> float:
    """How deep the simulator's own bodies overlap at most (its 99.9 % quantile) [m]."""
    return float(np.nanquantile(truth.depth[:, 1:], QUANTILE, method="higher"))


def contacts(dream: Mechanics, truth: Mechanics, jumps: Floats, limits: Floats, valid: Mask) -> Contacts:
    """jumps [N,h,nbody] of the dream's bodies, and limits [nbody] of what they are in free flight (see below)."""
    allowed = allowed_depth(truth)
    read = valid & np.isfinite(dream.depth[:, 1:])
    deep = np.where(read, np.maximum(dream.depth[:, 1:] - allowed, 0.0), 0.0)
    free = _free(dream.touching)[:, 1:] & valid[..., None] & np.isfinite(jumps)
    ghosts = (jumps > GHOST * limits) & free
    return Contacts(
        penetration=share(deep.sum(1), read.sum(1)),
        too_deep=share((deep > 0).sum(1), read.sum(1)),
        f1=_f1(dream.touching, truth.touching, valid),
        ghosts=share(100.0 * ghosts.sum((1, 2)), free.sum((1, 2))),
        unread=share((valid & ~read).sum(1), valid.sum(1)),
        allowed=allowed,
    )


def speed_jumps(features: Floats, first: Floats, spec: StateSpec, bodies: tuple[str, ...]) -> Floats:
    """By how much the steps of every body's places changed, [N,h,nbody], from features [N,h,D] after first [N,D]; NaN
    in the first step, which has none before it, and of bodies (names of all of the model's) that have no joint."""
    places = np.concatenate([first[:, None], features], axis=1)
    changes = np.abs(np.diff(places, n=2, axis=1))
    jumps = np.full((*features.shape[:2], len(bodies)), np.nan)
    for body, name in enumerate(bodies):
        own = np.array([f.object == name and f.kind != "velocity" for f in spec.features])
        if own.any():
            jumps[:, 1:, body] = np.linalg.norm(changes[..., own], axis=-1)
    return jumps


def free_flight_limits(reference: Mechanics, jumps: Floats, valid: Mask) -> Floats:
    """The 99.9 % quantile [nbody] of jumps [N,h,nbody] in free flight. The reference is the simulator through the
    probe, so that the probe's own noise is in it. Infinite where there is no free flight."""
    free = _free(reference.touching)[:, 1:] & valid[..., None] & np.isfinite(jumps)
    limits = np.full(jumps.shape[-1], np.inf)
    for body in np.flatnonzero(free.any(axis=(0, 1))):
        limits[body] = np.quantile(jumps[..., body][free[..., body]], QUANTILE, method="higher")
    return limits


def count_events(touching: Mask) -> int:
    """How often contacts begin or end, in [N,1+h,nbody,nbody]."""
    upper = np.triu(np.ones(touching.shape[-2:], bool), 1)
    closed = _closed(touching[..., upper])
    return int((closed[:, 1:] != closed[:, :-1]).sum())


def _free(touching: Mask) -> Mask:
    """bool [N,1+h,nbody]: touches nothing within WITHIN frames."""
    return ~_widened(np.asarray(touching.any(axis=-1)))


def _widened(events: Mask) -> Mask:
    """True within WITHIN frames of a True, along axis 1."""
    near = events.copy()
    for off in range(1, WITHIN + 1):
        near[:, off:] |= events[:, :-off]
        near[:, :-off] |= events[:, off:]
    return near


def _f1(dream: Mask, truth: Mask, valid: Mask) -> Estimate:
    hits, dreamt, true = (np.zeros(len(truth)) for _ in range(3))
    upper = np.triu(np.ones(truth.shape[-2:], bool), 1)
    for now, before in ((1, 0), (0, 1)):  # beginnings, then ends
        found, real = (
            _events(_closed(part[..., upper]), now, before) & valid[..., None] for part in (dream, truth)
        )
        hits += _matched(found, real)
        dreamt += found.sum((1, 2))
        true += real.sum((1, 2))
    return Estimate(lambda hit, all: 2 * hit / all, (columns(hits), columns(dreamt + true)))


def _closed(touching: Mask) -> Mask:
    """Without pauses of at most WITHIN frames: one touch that flickers is one touch."""
    closed = touching.copy()
    for pause in range(1, WITHIN + 1):
        around = touching[:, : -pause - 1] & touching[:, pause + 1 :]
        for inside in range(1, pause + 1):
            closed[:, inside : inside + around.shape[1]] |= around
    return closed


def _events(touching: Mask, now: int, before: int) -> Mask:
    """bool [N,h,P]: pair P touches (now=1) and did not in the frame before, or the reverse."""
    return (touching[:, 1:] == now) & (touching[:, :-1] == before)


def _matched(found: Mask, real: Mask) -> Floats:
    """How many real events of each context [N] have a found one of their own at most WITHIN frames off, nearest
    first."""
    found, real = found.copy(), real.copy()
    hits = np.zeros(len(real))
    for off in sorted(range(-WITHIN, WITHIN + 1), key=abs):
        shifted = np.roll(found, -off, axis=1)
        if off > 0:
            shifted[:, -off:] = False
        elif off < 0:
            shifted[:, :-off] = False
        both = shifted & real
        hits += both.sum((1, 2))
        real &= ~both
        back = np.roll(both, off, axis=1)
        found &= ~back
    return hits
