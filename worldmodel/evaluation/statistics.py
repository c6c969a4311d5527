"""The one way to draw intervals: a bootstrap over clusters (episodes), and correlations that say when there is none.

None and NaN stand for "not defined", such as the correlation of a constant or a share of nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

RESAMPLES = 10_000
LEVEL = 0.95
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A value and the bounds of its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def known(self) -> Interval | None:
        """Itself; None where the value is not defined."""
        return None if np.isnan(self.mean) else self


@dataclass(frozen=True)
class Estimate:
    """A metric as a statistic of sums over contexts.

    columns [N,M_i]: what adds up over contexts; statistic: their sums, each [R,M_i] for R resamples, to the metric
    [R,M], NaN where it is not defined.
    """

    statistic: Callable[..., Floats]
    columns: tuple[Floats, ...]

    @property
    def values(self) -> Floats:
        """The metric [M] over all contexts."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.statistic(*(column.sum(axis=0)[None] for column in self.columns)))[0]

    @property
    def value(self) -> float:
        """The metric, where it is one number."""
        (only,) = self.values
        return float(only)

    def __sub__(self, other: Estimate) -> Estimate:
        """The paired difference on the same contexts."""
        count = len(self.columns)

        def statistic(*sums: Floats) -> Floats:
            return self.statistic(*sums[:count]) - other.statistic(*sums[count:])

        return Estimate(statistic, (*self.columns, *other.columns))


def columns(values: ArrayLike) -> Floats:
    """[N] or [N,M] as float [N,M]."""
    array = np.asarray(values, np.float64)
    return array[:, None] if array.ndim == 1 else array


def share(above: ArrayLike, below: ArrayLike) -> Estimate:
    """sum(above) / sum(below) of arrays [N] or [N,M]."""
    return Estimate(np.divide, (columns(above), columns(below)))


def mean(values: ArrayLike, valid: ArrayLike = True, *, pooled: bool = False) -> Estimate:
    """Mean of every column of values [N] or [N,M] (pooled: of all together), over the finite entries that are valid."""
    array = columns(values)
    counted = np.isfinite(array) & np.broadcast_to(valid, np.shape(values)).reshape(array.shape)
    sums = np.where(counted, array, 0.0), counted
    return share(*(part.sum(1) for part in sums)) if pooled else share(*sums)


def correlation(
    first: Floats, second: Floats, known: NDArray[np.bool_], *, ranked: bool = False, pooled: bool = True
) -> Estimate:
    """Pearson's correlation (ranked: Spearman's, by ranks in the whole sample) of the known pairs [N,M]: one number
    over all of them, or, not pooled, one for each column. NaN where a side is constant."""
    sides = []
    axis = None if pooled else 0
    for side in (first, second):
        values = np.where(known, side, np.nan)
        if ranked and known.any():
            values = stats.rankdata(values, axis=axis, nan_policy="omit").reshape(known.shape)
        values = np.where(known, values, 0.0)
        # Centred and of unit size, so that the sums of squares neither cancel nor vanish.
        centred = np.where(known, values - values.sum(axis) / np.maximum(1, known.sum(axis)), 0.0)
        largest = np.abs(centred).max(axis)
        sides.append(centred / np.where(largest > 0, largest, 1.0))
    a, b = sides
    parts = (known, a, b, a * a, b * b, a * b)
    return Estimate(_pearson, tuple(columns(part.sum(1) if pooled else part) for part in parts))


def _pearson(n: Floats, a: Floats, b: Floats, aa: Floats, bb: Floats, ab: Floats) -> Floats:
    spread = np.sqrt(np.clip(n * aa - a * a, 0, None) * np.clip(n * bb - b * b, 0, None))
    return np.divide(n * ab - a * b, spread, out=np.full(spread.shape, np.nan), where=spread > 1e-9)


class Bootstrap:
    """Resamples whole clusters of N contexts, once for all estimates: what is estimated on the same contexts is paired.

    Intervals are percentile intervals widened for few clusters ("expanded percentile", Hesterberg, 2015), over the
    resamples in which the estimate is defined.
    """

    def __init__(self, clusters: ArrayLike, resamples: int = RESAMPLES, seed: int = 0) -> None:
        """clusters int [N]: contexts of one number (of one episode) are not independent."""
        names, self._cluster = np.unique(np.asarray(clusters), return_inverse=True)
        self.clusters = len(names)
        even = np.full(self.clusters, 1 / self.clusters)
        draws = np.random.default_rng(seed).multinomial(self.clusters, even, resamples)
        self._draws = np.concatenate([np.ones_like(draws[:1]), draws]).astype(np.float64)  # row 0: the data

    def of(self, estimate: Estimate) -> list[Interval]:
        """One interval for each of the estimate's M numbers."""
        sums = [self._draws @ self._by_cluster(column) for column in estimate.columns]
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.asarray(estimate.statistic(*sums), np.float64)
        return [expanded_percentile(column[0], column[1:], self.clusters) for column in values.T]

    def one(self, estimate: Estimate) -> Interval:
        """The interval of an estimate of one number."""
        (interval,) = self.of(estimate)
        return interval

    def median(self, values: ArrayLike) -> Interval:
        """Of values [N]: the lower one of the two in the middle."""
        array = np.asarray(values, np.float64)
        order = np.argsort(array, kind="stable")
        counts = np.cumsum(self._draws[:, self._cluster[order]], axis=1)
        medians = array[order][(counts >= counts[:, -1:] / 2).argmax(axis=1)]
        return expanded_percentile(medians[0], medians[1:], self.clusters)

    def _by_cluster(self, values: Floats) -> Floats:
        totals = np.zeros((self.clusters, values.shape[1]))
        np.add.at(totals, self._cluster, values)
        return totals


def resampled(
    statistic: Callable[..., Floats], *samples: ArrayLike, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Interval of a statistic of n independent items that is no statistic of sums, such as a rank correlation.

    statistic(*samples, axis=...) reduces that axis of its arrays, as SciPy's do.
    """
    arrays = [np.asarray(sample, np.float64) for sample in samples]
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        own = float(statistic(*arrays, axis=-1))
        if np.isnan(own) or len(arrays[0]) < 2:
            return expanded_percentile(own, np.array([own]), len(arrays[0]))
        drawn = stats.bootstrap(
            arrays,
            statistic,
            paired=len(arrays) > 1,
            vectorized=True,
            n_resamples=resamples,
            batch=max(1, 2_000_000 // len(arrays[0]) ** 2),
            method="percentile",
            rng=np.random.default_rng(seed),
        ).bootstrap_distribution
    return expanded_percentile(own, drawn, len(arrays[0]))


def expanded_percentile(own: float, drawn: Floats, count: int) -> Interval:
    """From a statistic of the data and of its resamples [R], each of `count` independent units."""
    drawn = drawn[~np.isnan(drawn)]
    if np.isnan(own) or not len(drawn):
        return Interval(float(own), float("nan"), float("nan"))
    if count < 2:
        return Interval(float(own), float("-inf"), float("inf"))  # one cluster tells no spread
    # A resample's spread is too small by sqrt((n-1)/n), and the normal shape ignores that it is estimated.
    tail = stats.norm.cdf(stats.t.ppf((1 - LEVEL) / 2, count - 1) * np.sqrt(count / (count - 1)))
    # Between two infinities nothing can be interpolated (a median that more than half outlast).
    low, high = np.quantile(
        drawn, [tail, 1 - tail], method="linear" if np.isfinite(drawn).all() else "nearest"
    )
    return Interval(float(own), float(low), float(high))


def rank_correlation(first: ArrayLike, second: ArrayLike) -> float | None:
    """Spearman's correlation; None for fewer than three pairs or when either is constant."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(stats.spearmanr(a, b).statistic)


def separation(scores: ArrayLike, positive: NDArray[np.bool_]) -> float | None:
    """How often a positive scores higher than a negative (area under the ROC curve); None if one kind is absent."""
    values = np.asarray(scores, np.float64)
    if positive.all() or not positive.any():
        return None
    wins = stats.mannwhitneyu(values[positive], values[~positive]).statistic
    return float(wins / (positive.sum() * (~positive).sum()))
