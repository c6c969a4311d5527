"""Statistics of several runs of an algorithm, each scored on several episodes (Agarwal et al., 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from worldmodel.agents.score import interquartile_mean
from worldmodel.evaluation.statistics import LEVEL, RESAMPLES, Interval


def stratified_iqm(strata: Sequence[NDArray[np.float64]], seed: int) -> Interval:
    """Interquartile mean of all values, with a 95 % percentile bootstrap interval that draws within each stratum.

    With the runs of a task as a stratum this is the interval of rliable; with the episodes of a run as one, it tells
    how sure these runs' score is, not how far other runs would be from it (see `nested_iqm`).
    """
    rng = np.random.default_rng(seed)
    drawn = [_redrawn(np.asarray(values, np.float64), rng) for values in strata]
    return _interval(np.concatenate(list(strata)), np.concatenate(drawn, axis=1))


def nested_iqm(runs: Sequence[NDArray[np.float64]], seed: int) -> Interval:
    """Interquartile mean of all values, with a 95 % interval that draws runs first, then episodes of each: wider, and
    also about runs with other seeds. Runs must have as many values each."""
    rng = np.random.default_rng(seed)
    values = np.stack([np.asarray(run, np.float64) for run in runs])
    count, size = values.shape
    chosen = rng.integers(count, size=(RESAMPLES, count))
    episodes = rng.integers(size, size=(RESAMPLES, count, size))
    return _interval(values.ravel(), values[chosen[..., None], episodes].reshape(RESAMPLES, -1))


def _redrawn(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    return values[rng.integers(len(values), size=(RESAMPLES, len(values)))]


def _interval(values: NDArray[np.float64], drawn: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(interquartile_mean(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(interquartile_mean(values)), float(low), float(high))
