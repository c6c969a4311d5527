"""A probe that is fitted in closed form in a second: objects by their colours, states by regression on their places."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from spoilers import blur, brightness, noise

from worldmodel.evaluation.moments.rollouts import Contexts, Reading, Rollouts, Views, views_of
from worldmodel.evaluation.moments.sight import in_plain_sight
from worldmodel.evaluation.moments.state_spec import StateSpec
from worldmodel.evaluation.moments.subject import Subject

SIDE = 32
RIDGE = 1e-3
LEAST_SHARE = 0.15
MARGIN = 3  # pixels
GATES = 3  # parts of the held-out contexts, in each of which a feature must be read well enough


@dataclass(frozen=True)
class ColourProbe:
    """See worldmodel.evaluation.moments.rollouts.Probe.

    shares [SIDE**3,n]: of each object in pixels of each colour, for masks; soft_shares: the same of softened pictures,
    for places, which noise then hardly moves; reach [H,W,n]: where each object can be at all; weights: of every
    feature; owners: its object.
    """

    spec: StateSpec
    objects: tuple[str, ...]
    shares: np.ndarray
    soft_shares: np.ndarray
    reach: np.ndarray
    usual: np.ndarray
    weights: tuple[np.ndarray, ...]
    owners: tuple[int, ...]
    trusted_features: NDArray[np.bool_]
    trusted_objects: NDArray[np.bool_]
    version: str = "colours"

    def read(self, past: NDArray[np.uint8], frames: NDArray[np.uint8]) -> Reading:
        views, inputs = self._inputs(np.concatenate([past[:, -2:], frames], axis=1))
        features = np.full((*frames.shape[:2], len(self.spec)), np.nan)
        for d, (weights, owner) in enumerate(zip(self.weights, self.owners, strict=True)):
            features[..., d] = inputs[:, :, owner] @ weights
        return Reading(features, views)

    def _inputs(self, frames: np.ndarray) -> tuple[Views, np.ndarray]:
        """Views [N,h,n] of all but the first two frames, and [N,h,n,P] polynomials of places and their changes."""
        views, soft = (
            views_of(np.moveaxis(cover, -1, 2))
            for cover in (
                self.shares[colours(frames)],
                self.soft_shares[colours(soften(frames))] * self.reach,
            )
        )
        place = np.stack([soft.row, soft.column], axis=-1) / frames.shape[2] - 0.5
        place = np.where((soft.area > 0.25 * self.usual)[..., None], place, np.nan)
        now, one, two = place[:, 2:], place[:, 1:-1], place[:, :-2]
        return views.apply(lambda part: part[:, 2:]), polynomials(now, 10 * (now - one), 10 * (one - two))


def soften(frames: np.ndarray) -> np.ndarray:
    return blur(blur(frames))


def colours(frames: np.ndarray) -> np.ndarray:
    fine = (frames // (256 // SIDE)).astype(np.int32)
    return (fine[..., 0] * SIDE + fine[..., 1]) * SIDE + fine[..., 2]


def polynomials(*parts: np.ndarray) -> np.ndarray:
    """1, all numbers, and their products by twos."""
    x = np.concatenate(parts, axis=-1)
    one, other = np.triu_indices(x.shape[-1])
    return np.concatenate([np.ones((*x.shape[:-1], 1)), x, x[..., one] * x[..., other]], axis=-1)


def fit_colour_probe(subject: Subject, contexts: Contexts, truth: Rollouts, seed: int = 0) -> ColourProbe:
    """On the first half of some contexts and what followed (with masks); gates on the second."""
    assert truth.truth is not None and truth.truth.masks is not None and truth.frames is not None
    rng = np.random.default_rng(seed)
    fit, check = np.split(np.arange(len(contexts)), [len(contexts) // 2])
    masks = truth.truth.masks
    shares, soft_shares = _shares(truth.frames[fit], masks[fit].astype(np.float32), rng)
    owners = tuple(
        subject.objects.index(feature.object) if feature.object in subject.objects else 0
        for feature in subject.spec.features
    )
    area = truth.truth.views.area
    usual = np.array([np.median(area[fit, :, i][area[fit, :, i] > 0]) for i in range(len(subject.objects))])
    nothing = np.ones(0, bool)
    blank = ColourProbe(
        spec=subject.spec,
        objects=subject.objects,
        shares=shares,
        soft_shares=soft_shares,
        reach=_reach(masks[fit]),
        usual=usual,
        weights=(),
        owners=owners,
        trusted_features=nothing,
        trusted_objects=nothing,
    )
    past = contexts.frames[:, -2:]
    versions = [
        blank._inputs(np.concatenate([change(past), change(truth.frames)], axis=1))[1]
        for change in (np.array, brightness, blur, lambda frames: noise(frames, rng))
    ]
    features, weights = in_plain_sight(truth.truth, subject.spec, subject.objects), []
    good = np.zeros(len(subject.spec), bool)
    for d, owner in enumerate(owners):
        y = features[fit][..., d].ravel()
        square, product = RIDGE * np.eye(versions[0].shape[-1]), np.zeros(versions[0].shape[-1])
        for version, importance in zip(versions, (1.0, 1.0, 1.0, 0.02), strict=True):
            x = version[fit][:, :, owner].reshape(len(y), -1)
            known = np.isfinite(x).all(axis=1) & np.isfinite(y)
            square += importance * x[known].T @ x[known]
            product += importance * x[known].T @ y[known]
        weights.append(np.linalg.solve(square, product))
        good[d] = all(
            r2(versions[0][part][:, :, owner] @ weights[-1], features[part][..., d]) >= 0.95
            for part in np.array_split(check, GATES)
        )
    trusted = iou(shares[colours(truth.frames[check])], np.moveaxis(masks[check], 2, -1)) >= 0.9
    return replace(blank, weights=tuple(weights), trusted_features=good, trusted_objects=trusted)


def r2(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Where the truth is told; what is not read is as wrong as the mean."""
    asked = np.isfinite(truth)
    off = np.nan_to_num(predicted[asked] - truth[asked], nan=truth[asked].std())
    return float(1 - (off**2).mean() / max(truth[asked].var(), 1e-12)) if asked.any() else 0.0


def iou(seen: np.ndarray, true: np.ndarray) -> np.ndarray:
    """[...,n] covers -> [n]."""
    axes = tuple(range(seen.ndim - 1))
    return np.minimum(seen, true).sum(axes, dtype=float) / np.maximum(seen, true).sum(axes, dtype=float)


def _shares(frames: np.ndarray, masks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """How much of a pixel of each colour belongs to each object, under changes of light, focus and noise."""
    softer = _soft(masks)
    versions = [
        (frames, masks, 3.0),
        (brightness(frames), masks, 1.0),
        (blur(frames), softer, 1.0),
        (noise(frames, rng), masks, 1.0),
    ]
    softest = [_soft(_soft(cover)) for cover in (masks, softer)]
    soft_versions = [
        (soften(pictures), softest[int(cover is softer)], weight) for pictures, cover, weight in versions
    ]
    table = _table(soft_versions)
    return _table(versions), np.where(
        table > LEAST_SHARE, table, 0
    )  # much background adds up, however little it is


def _reach(masks: np.ndarray) -> np.ndarray:
    """The box [H,W,n] around all places where each object has been seen, and a little more."""
    seen = (masks > 0).any(axis=(0, 1))
    reach = np.zeros(seen.shape, np.float32)
    for box, thing in zip(reach, seen, strict=True):
        rows, columns = (np.flatnonzero(thing.any(axis=axis)) for axis in (1, 0))
        box[
            max(0, rows[0] - MARGIN) : rows[-1] + MARGIN, max(0, columns[0] - MARGIN) : columns[-1] + MARGIN
        ] = 1
    return np.moveaxis(reach, 0, -1)


def _soft(masks: np.ndarray) -> np.ndarray:
    return blur((255 * masks)[..., None])[..., 0] / np.float32(255)


def _table(versions: list[tuple[np.ndarray, np.ndarray, float]]) -> np.ndarray:
    count = versions[0][1].shape[2]
    covered, seen = np.zeros((SIDE**3, count)), np.zeros(SIDE**3)
    for pictures, cover, weight in versions:
        number = colours(pictures).ravel()
        seen += weight * np.bincount(number, minlength=SIDE**3)
        for i in range(count):
            covered[:, i] += weight * np.bincount(number, cover[:, :, i].ravel(), minlength=SIDE**3)
    return (covered / np.maximum(seen, 1e-9)[:, None]).astype(np.float32)
