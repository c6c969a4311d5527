"""A probe that is fitted in closed form in a second: objects by their colours, states by regression on their places."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worldmodel.physics.rollouts import Contexts, Reading, Rollouts, Views, views_of
from worldmodel.physics.spoilers import blur, brightness, noise
from worldmodel.physics.state_spec import StateSpec
from worldmodel.physics.subject import Subject

SIDE = 32
RIDGE = 1e-3


@dataclass(frozen=True)
class ColourProbe:
    """See worldmodel.physics.rollouts.Probe. shares [SIDE**3,n]; weights: a matrix per feature; owner: its object."""

    spec: StateSpec
    objects: tuple[str, ...]
    shares: np.ndarray
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
        cover = self.shares[colours(frames)]  # [N,h,H,W,n]
        views = views_of(np.moveaxis(cover, -1, 2))
        place = np.stack([views.row, views.column], axis=-1) / frames.shape[2] - 0.5
        place = np.where((views.area > 0.25 * self.usual)[..., None], place, np.nan)
        now, one, two = place[:, 2:], place[:, 1:-1], place[:, :-2]
        return views.apply(lambda part: part[:, 2:]), polynomials(now, 10 * (now - one), 10 * (one - two))


def colours(frames: np.ndarray) -> np.ndarray:
    fine = (frames // (256 // SIDE)).astype(np.int32)
    return (fine[..., 0] * SIDE + fine[..., 1]) * SIDE + fine[..., 2]


def polynomials(*parts: np.ndarray) -> np.ndarray:
    """1, all numbers, and their products by twos."""
    x = np.concatenate(parts, axis=-1)
    one, other = np.triu_indices(x.shape[-1])
    return np.concatenate([np.ones((*x.shape[:-1], 1)), x, x[..., one] * x[..., other]], axis=-1)


def fit_colour_probe(subject: Subject, contexts: Contexts, truth: Rollouts, seed: int = 0) -> ColourProbe:
    """On the first three quarters of some contexts and what followed (with masks); gates on the last quarter."""
    assert truth.truth is not None and truth.truth.masks is not None and truth.frames is not None
    rng = np.random.default_rng(seed)
    fit, check = np.split(np.arange(len(contexts)), [3 * len(contexts) // 4])
    masks = truth.truth.masks
    shares = _shares(truth.frames[fit], masks[fit], rng)
    owners = tuple(
        subject.objects.index(feature.object) if feature.object in subject.objects else 0
        for feature in subject.spec.features
    )
    area = truth.truth.views.area
    usual = np.array([np.median(area[fit, :, i][area[fit, :, i] > 0]) for i in range(len(subject.objects))])
    blank = ColourProbe(
        subject.spec, subject.objects, shares, usual, (), owners, np.ones(0, bool), np.ones(0, bool)
    )
    past = contexts.frames[:, -2:]
    versions = [
        blank._inputs(np.concatenate([change(past), change(truth.frames)], axis=1))[1]
        for change in (np.array, brightness, blur, lambda frames: noise(frames, rng))
    ]
    features, weights = truth.truth.features, []
    good = np.zeros(len(subject.spec), bool)
    for d, owner in enumerate(owners):
        y = features[fit][..., d].ravel()
        square, product = RIDGE * np.eye(versions[0].shape[-1]), np.zeros(versions[0].shape[-1])
        for version, importance in zip(versions, (1.0, 1.0, 1.0, 0.02), strict=True):
            x = version[fit][:, :, owner].reshape(len(y), -1)
            known = np.isfinite(x).all(axis=1)
            square += importance * x[known].T @ x[known]
            product += importance * x[known].T @ y[known]
        weights.append(np.linalg.solve(square, product))
        good[d] = r2(versions[0][check][:, :, owner] @ weights[-1], features[check][..., d]) >= 0.95
    trusted = iou(shares[colours(truth.frames[check])], np.moveaxis(masks[check], 2, -1)) >= 0.9
    return ColourProbe(subject.spec, subject.objects, shares, usual, tuple(weights), owners, good, trusted)


def r2(predicted: np.ndarray, truth: np.ndarray) -> float:
    """What cannot be read is as wrong as the mean."""
    power = ((truth - truth.mean()) ** 2).sum()
    off = np.where(np.isfinite(predicted), predicted - truth, truth - truth.mean())
    return float(1 - (off**2).sum() / max(power, 1e-12))


def iou(seen: np.ndarray, true: np.ndarray) -> np.ndarray:
    """[...,n] covers -> [n]."""
    axes = tuple(range(seen.ndim - 1))
    return np.minimum(seen, true).sum(axes, dtype=float) / np.maximum(seen, true).sum(axes, dtype=float)


def _shares(frames: np.ndarray, masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How much of a pixel of each colour belongs to each object, under changes of light, focus and noise."""
    count = masks.shape[2]
    covered, seen = np.zeros((SIDE**3, count)), np.zeros(SIDE**3)
    soft = blur((255 * masks.astype(np.float32))[..., None])[..., 0] / 255
    versions = [
        (frames, masks, 3.0),
        (brightness(frames, 1.15), masks, 1.0),
        (brightness(frames, 0.9), masks, 1.0),
        (blur(frames), soft, 1.0),
        (noise(frames, rng), masks, 1.0),
    ]
    for pictures, cover, weight in versions:
        number = colours(pictures).ravel()
        seen += weight * np.bincount(number, minlength=SIDE**3)
        for i in range(count):
            covered[:, i] += weight * np.bincount(number, cover[:, :, i].ravel(), minlength=SIDE**3)
    return (covered / np.maximum(seen, 1e-9)[:, None]).astype(np.float32)
