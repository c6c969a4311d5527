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
    names, place = np.unique(clusters, return_inverse=True)
    totals = np.zeros((len(names), values.shape[1]))
    counts = np.zeros_like(totals)
    np.add.at(totals, place, np.where(valid, values, 0.0))
    np.add.at(counts, place, valid)
    draws = np.random.default_rng(seed).multinomial(
        len(names), np.full(len(names), 1 / len(names)), RESAMPLES
    )
    drawn = draws @ counts
    means = np.divide(draws @ totals, drawn, out=np.full_like(drawn, np.nan, dtype=float), where=drawn > 0)
    low, high = np.nanquantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    mean = totals.sum(0) / counts.sum(0)
    return [Interval(*map(float, row)) for row in zip(mean, low, high, strict=True)]


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
