"""The statistics the measurements share. None stands for "cannot be said", such as the correlation of a constant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and the bounds of its 95 % interval."""

    mean: float
    low: float
    high: float


def cluster_bootstrap(
    values: NDArray[np.float64], valid: NDArray[np.bool_], clusters: NDArray[np.int64], seed: int
) -> list[Interval]:
    """For each column of values [B,h], its mean over the valid rows, with a percentile bootstrap interval.

    Whole clusters are drawn again, because rows [B] of one cluster (moments of one episode) are not independent.
    """
    counted = np.broadcast_to(valid, values.shape).astype(np.float64)
    return ratio_bootstrap(np.where(valid, values, 0.0), counted, clusters, seed)


def ratio_bootstrap(
    above: NDArray[np.float64], below: NDArray[np.float64], clusters: NDArray[np.int64], seed: int
) -> list[Interval]:
    """For each column, sum(above) / sum(below) of arrays [B,h], with an interval as cluster_bootstrap gives it; NaN
    where nothing is below."""
    totals, counts = _by_cluster(above, clusters), _by_cluster(below, clusters)
    draws = _draws(len(totals), seed)
    low, high = _bounds(_divided(draws @ totals, draws @ counts))
    mean = _divided(totals.sum(0), counts.sum(0))
    return [Interval(*map(float, row)) for row in zip(mean, low, high, strict=True)]


def correlation_interval(
    first: ArrayLike, second: ArrayLike, clusters: NDArray[np.int64], seed: int
) -> Interval | None:
    """Pearson's correlation with an interval over clusters; None where there is no correlation."""
    value = correlation(first, second)
    if value is None:
        return None
    a, b = (side - side.mean() for side in (np.asarray(first, np.float64), np.asarray(second, np.float64)))
    moments = _by_cluster(np.stack([np.ones_like(a), a, b, a * a, b * b, a * b], axis=1), clusters)
    n, a, b, aa, bb, ab = (_draws(len(moments), seed) @ moments).T
    spread = np.sqrt(np.clip(n * aa - a * a, 0, None) * np.clip(n * bb - b * b, 0, None))
    low, high = _bounds(_divided(n * ab - a * b, spread)[:, None])
    return Interval(value, float(low[0]), float(high[0]))


def _by_cluster(values: NDArray[np.float64], clusters: NDArray[np.int64]) -> NDArray[np.float64]:
    names, place = np.unique(clusters, return_inverse=True)
    totals = np.zeros((len(names), values.shape[1]))
    np.add.at(totals, place, values)
    return totals


def _draws(clusters: int, seed: int) -> NDArray[np.int64]:
    """How often each cluster is drawn, [RESAMPLES, clusters]."""
    return np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), RESAMPLES)


def _divided(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


def _bounds(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """[2,h]: the interval's bounds; NaN where no resample has a mean."""
    known = np.isfinite(means).any(axis=0)
    bounds = np.full((2, means.shape[1]), np.nan)
    bounds[:, known] = np.nanquantile(means[:, known], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return bounds


def correlation(first: ArrayLike, second: ArrayLike) -> float | None:
    """Pearson's correlation; None for fewer than three pairs or when either is constant."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def rank_correlation(first: ArrayLike, second: ArrayLike) -> float | None:
    """Spearman's correlation, ties at their mean rank; None where Pearson's would be."""
    return correlation(ranks(first), ranks(second))


def ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Ranks from 1, ties at their mean rank."""
    _, place, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place]


def separation(scores: ArrayLike, positive: NDArray[np.bool_]) -> float | None:
    """How often a positive scores higher than a negative (area under the ROC curve); None if one kind is absent."""
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    above = ranks(scores)[positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))
