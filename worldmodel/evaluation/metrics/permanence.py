"""M4: is every object still there, where it should be, and is it the only one of its kind?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worldmodel.evaluation.moments.rollouts import Truth, Views
from worldmodel.evaluation.statistics import Estimate, share

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
AREA = (0.5, 2.0)  # times the true visible area: less has vanished, more is more than one
NEAR = 0.1  # of the shorter side of the picture: how far a centroid may be off
SEEN, HIDDEN = 0.5, 0.05  # shares of the unoccluded area: seen from the first on, hidden below the second
LEAST_AREA = 4.0  # pixels: what is truly smaller is not asked for
COPIES = 1.5  # times the true area and the true spread: two of one kind
AFTER = 5  # frames for which an object counts as having just come back
BACK = {"occluded 5": 5, "occluded 10": 10, "occluded 20": 20}  # at least so many frames, less than the next
LEFT = "left and came back"
STRATA = ("visible", *BACK, LEFT)
FATES = ("present", "vanished", "duplicated", "swapped", "displaced", "swollen")
MOVED = 2.0  # pixels: what has moved less does not tell whether it was frozen


@dataclass(frozen=True)
class Asked:
    """Which object-frames are counted, from the truth alone. stratum int [N,h,n]: the number of one of STRATA, -1 where
    nothing is asked; left [N,h,n,2]: row and column at which an object that has just come back was last seen, else
    NaN."""

    stratum: NDArray[np.int64]
    left: Floats


@dataclass(frozen=True)
class Permanence:
    """present: share of the object-frames of each of STRATA, and all: of all of them; rates: of each of FATES per 100
    object-frames; freeze_bias: how far objects are from where they should be back towards where the context showed them
    (0: not at all, 1: they stand still), of those that are seen; freeze_bias_back: the same of objects that came back,
    towards where they had disappeared. counted: object-frames in each stratum."""

    present: dict[str, Estimate]
    all: Estimate
    rates: dict[str, Estimate]
    freeze_bias: Estimate
    freeze_bias_back: Estimate
    counted: dict[str, int]


def asked(truth: Truth, valid: Mask) -> Asked:
    """An object is asked for in every valid frame that truly shows at least half of it, if the context's last showed
    it.

    After at least 5 frames out of sight it counts in the stratum of its absence for AFTER frames.
    """
    area = np.concatenate([truth.first_views.area[:, None], truth.views.area], axis=1)
    whole = np.concatenate([truth.first_unoccluded_area[:, None], truth.unoccluded_area], axis=1)
    first = _places(truth.first_views)[:, None]
    places = np.concatenate([first, _places(truth.views)], axis=1)
    seen = (area >= SEEN * whole) & (area >= LEAST_AREA)
    hidden = area < np.maximum(HIDDEN * whole, 1e-9)
    seen[:, 1:] &= valid[..., None]
    stratum = np.where(seen & seen[:, :1], 0, -1)
    left = np.full(places.shape, np.nan)
    for n, i in np.argwhere(seen[:, 0] & hidden.any(axis=1)):
        edges = np.flatnonzero(np.diff(np.pad(hidden[n, :, i].astype(int), 1))).reshape(-1, 2)
        for (gone, back), after in zip(edges, [*edges[1:, 0], area.shape[1]], strict=True):
            kind = _kind(back - gone, not whole[n, gone:back, i].any())
            fresh = back + np.flatnonzero(seen[n, back:after, i])[:AFTER]
            before = np.flatnonzero(seen[n, :gone, i])[-1]
            if kind:
                stratum[n, fresh, i], left[n, fresh, i] = kind, places[n, before, i]
    return Asked(stratum[:, 1:], left[:, 1:])


def permanence(
    seen: Views, truth: Truth, what: Asked, frame_shape: tuple[int, ...], trusted: Mask
) -> Permanence:
    """Of views [N,h,n] against the truth. A missing object is a failure. trusted bool [n]: other objects are not
    asked."""
    stratum = np.where(trusted, what.stratum, -1)
    counted = stratum >= 0
    fate = fates(seen, truth.views, frame_shape)
    present = counted & (fate == 0)
    first = np.broadcast_to(_places(truth.first_views)[:, None], what.left.shape)
    return Permanence(
        present={
            name: share(_sum(present & (stratum == k)), _sum(stratum == k)) for k, name in enumerate(STRATA)
        },
        all=share(_sum(present), _sum(counted)),
        rates={
            name: share(100.0 * _sum(counted & (fate == k)), _sum(counted)) for k, name in enumerate(FATES)
        },
        freeze_bias=_freeze_bias(seen, truth.views, first, counted),
        freeze_bias_back=_freeze_bias(seen, truth.views, what.left, stratum > 0),
        counted={name: int((stratum == k).sum()) for k, name in enumerate(STRATA)},
    )


def fates(seen: Views, truth: Views, frame_shape: tuple[int, ...]) -> NDArray[np.int64]:
    """The number of one of FATES for every object of every frame, int [N,h,n], as far as the true one is seen."""
    near = NEAR * min(frame_shape[:2])
    offsets = np.linalg.norm(_places(seen)[..., :, None, :] - _places(truth)[..., None, :, :], axis=-1)
    close = np.nan_to_num(offsets, nan=np.inf) <= near  # [N,h,i,j]: object i is seen where object j should be
    own = np.diagonal(close, axis1=-2, axis2=-1)
    others = close & ~own[..., None, :] & ~np.eye(close.shape[-1], dtype=bool)
    sizes = np.where(others, truth.area[..., None, :], np.nan_to_num(truth.area)[..., None])
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = seen.area / truth.area
        like = (seen.area[..., None] >= AREA[0] * sizes) & (seen.area[..., None] <= AREA[1] * sizes)
        copied = (ratio >= COPIES) & (seen.spread >= COPIES * truth.spread)
    swapped = (others & like).any(axis=-1) & ~own
    kinds = [copied, swapped, ~(ratio >= AREA[0]), ratio > AREA[1], ~own]
    numbers = [FATES.index(name) for name in ("duplicated", "swapped", "vanished", "swollen", "displaced")]
    return np.select(kinds, numbers, 0)


def _freeze_bias(seen: Views, truth: Views, left: Floats, counted: Mask) -> Estimate:
    should, found = _places(truth), _places(seen)
    way = should - left
    told = counted & np.isfinite(way).all(-1) & np.isfinite(found).all(-1)
    told &= np.linalg.norm(np.nan_to_num(way), axis=-1) >= MOVED
    short = np.where(told, np.nan_to_num(((should - found) * way).sum(-1)), 0.0)
    whole = np.where(told, np.nan_to_num((way**2).sum(-1)), 0.0)
    return share(_sum(short), _sum(whole))


def _kind(frames: int, out_of_view: bool) -> int:
    """Of an absence; 0 for one too short to be asked about."""
    longest = [name for name, least in BACK.items() if frames >= least]
    if not longest:
        return 0
    return STRATA.index(LEFT if out_of_view else longest[-1])


def _places(views: Views) -> Floats:
    return np.stack([views.row, views.column], axis=-1)


def _sum(values: NDArray[np.generic]) -> Floats:
    """Over everything but contexts."""
    return np.asarray(values.reshape(len(values), -1).sum(axis=1), np.float64)
