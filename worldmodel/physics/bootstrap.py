"""The cluster bootstrap behind every interval of a physics report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from worldmodel.evaluation.statistics import LEVEL, Interval

RESAMPLES = 10_000
Floats = NDArray[np.float64]
# From the sums over contexts of several columns, each [R,M_i] for R resamples, to the statistic [R,M].
Statistic = Callable[..., Floats]


class Bootstrap:
    """Resamples whole clusters (episodes) of N contexts, once for all statistics: what is computed on the same
    contexts is paired. Intervals are percentile intervals, widened for few clusters (Hesterberg, 2015, "expanded
    percentile")."""

    def __init__(self, clusters: ArrayLike, resamples: int = RESAMPLES, seed: int = 0) -> None:
        """clusters int [N]: rows of one number are not independent."""
        names, self._place = np.unique(np.asarray(clusters), return_inverse=True)
        self.clusters = len(names)
        draws = np.random.default_rng(seed).multinomial(
            self.clusters, np.full(self.clusters, 1 / self.clusters), resamples
        )
        self._draws = np.concatenate([np.ones((1, self.clusters)), draws])  # row 0: the data themselves
        self._tails = expanded_tails(self.clusters)

    def of(self, statistic: Statistic, *columns: ArrayLike) -> list[Interval]:
        """Intervals of statistic(sums of every column), where columns [N,M_i] or [N] hold what adds up over contexts.

        NaN in a column counts as 0: pair it with a column of counts."""
        sums = [self._draws @ self._by_cluster(np.asarray(column, np.float64)) for column in columns]
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.asarray(statistic(*sums), np.float64)
        return self.intervals(values)

    def mean(self, values: ArrayLike, valid: ArrayLike | None = None) -> list[Interval]:
        """Of every column of values [N,M] or [N], over the finite entries (of those that are valid)."""
        array = np.asarray(values, np.float64)
        counted = np.isfinite(array) if valid is None else np.isfinite(array) & np.asarray(valid, bool)
        return self.of(np.divide, np.where(counted, array, 0.0), counted)

    def difference(self, first: ArrayLike, second: ArrayLike) -> list[Interval]:
        """Mean of first - second [N,M] or [N] over the contexts where both are finite."""
        return self.mean(np.asarray(first, np.float64) - np.asarray(second, np.float64))

    def intervals(self, values: Floats) -> list[Interval]:
        """From a statistic [1+R,M]: row 0 of the data, the others of the resamples. NaN where it is not defined."""
        values = values[:, None] if values.ndim == 1 else values
        return [self._interval(column) for column in values.T]

    def _interval(self, column: Floats) -> Interval:
        known = column[1:][~np.isnan(column[1:])]
        if not len(known) or np.isnan(column[0]):
            return Interval(float(column[0]), float("nan"), float("nan"))
        if self.clusters < 2:
            return Interval(float(column[0]), float("-inf"), float("inf"))  # one cluster tells no spread
        # Between two infinities nothing can be interpolated (a median that more than half outlast).
        low, high = np.quantile(
            known, self._tails, method="linear" if np.isfinite(known).all() else "nearest"
        )
        return Interval(float(column[0]), float(low), float(high))

    def _by_cluster(self, values: Floats) -> Floats:
        values = values.reshape(len(values), -1)
        totals = np.zeros((self.clusters, values.shape[1]))
        np.add.at(totals, self._place, np.nan_to_num(values, posinf=0.0, neginf=0.0))
        return totals


def resampled_rows(
    statistic: Callable[..., Floats], *samples: ArrayLike, resamples: int = RESAMPLES, seed: int = 0
) -> Interval | None:
    """Interval of a statistic of n independent items that does not add up, such as a rank correlation over policies.

    statistic: takes arrays [R,n], gives [R]; NaN where it is not defined. None when it is not of the data themselves.
    """
    arrays = [np.asarray(sample, np.float64) for sample in samples]
    count = len(arrays[0])
    own = float(statistic(*(array[None] for array in arrays))[0])
    if not np.isfinite(own):
        return None
    index = np.random.default_rng(seed).integers(count, size=(resamples, count))
    values = statistic(*(array[index] for array in arrays))
    low, high = np.quantile(values[np.isfinite(values)], expanded_tails(count))
    return Interval(own, float(low), float(high))


def expanded_tails(count: int, level: float = LEVEL) -> tuple[float, float]:
    """The quantiles of a bootstrap distribution of a mean of `count` values that bound an interval of `level`.

    A resample's spread is too small by sqrt((n-1)/n), and the normal shape ignores that the spread is estimated: both
    are undone as Student's interval does it.
    """
    if count < 2:
        return (0.0, 1.0)
    wide = t_quantile((1 + level) / 2, count - 1) * (count / (count - 1)) ** 0.5
    tail = NormalDist().cdf(-wide)
    return (tail, 1 - tail)


def t_quantile(probability: float, degrees: float) -> float:
    """Quantile of Student's t (Abramowitz and Stegun, 26.7.5): to 0.01 from 3 degrees of freedom on."""
    if degrees < 3:
        return _few_degrees(probability, degrees)
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / degrees**power for power, term in enumerate(terms, start=1))


def _few_degrees(probability: float, degrees: float) -> float:
    if degrees < 2:
        return float(np.tan(np.pi * (probability - 0.5)))
    a = 2 * probability - 1
    return float(a * np.sqrt(2 / (1 - a * a)))


def rank_rows(values: Floats) -> Floats:
    """Ranks along the last axis of [R,n], from 1, ties at their mean rank."""
    parts = np.array_split(values, max(1, values.size * values.shape[-1] // 4_000_000))
    return np.concatenate([_ranks(part) for part in parts])


def _ranks(values: Floats) -> Floats:
    below = (values[..., None, :] < values[..., :, None]).sum(-1)
    equal = (values[..., None, :] == values[..., :, None]).sum(-1)
    return below + (equal + 1) / 2


def pearson_rows(first: Floats, second: Floats) -> Floats:
    """Pearson's correlation of rows [R,n] -> [R]; NaN where either side is constant."""
    a, b = (side - side.mean(-1, keepdims=True) for side in (first, second))
    spread = np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    varied = (np.ptp(first, axis=-1) > 0) & (np.ptp(second, axis=-1) > 0)
    return np.divide((a * b).sum(-1), spread, out=np.full(len(a), np.nan), where=varied & (spread > 0))


def joined_columns(parts: Sequence[ArrayLike]) -> Floats:
    """[N] arrays as columns [N,M]."""
    return np.stack([np.asarray(part, np.float64) for part in parts], axis=1)
