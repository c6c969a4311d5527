"""A metric as a statistic of sums over contexts: one value for all, and what a bootstrap over contexts draws again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """columns [N,M_i]: what adds up over contexts; statistic: their sums, each [R,M_i], to the metric [R,M]. NaN
    stands for "cannot be said" (nothing was counted)."""

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


def share(above: NDArray[np.generic], below: NDArray[np.generic]) -> Estimate:
    """sum(above) / sum(below) of arrays [N] or [N,M]."""
    return Estimate(np.divide, (columns(above), columns(below)))


def columns(values: NDArray[np.generic]) -> Floats:
    """[N] or [N,M] as float [N,M]."""
    array = np.asarray(values, np.float64)
    return array[:, None] if array.ndim == 1 else array
