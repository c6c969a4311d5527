"""Statistics of several runs of an algorithm, each scored on several episodes (Agarwal et al., 2021)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from worldmodel.agents.score import interquartile_mean
from worldmodel.evaluation.statistics import LEVEL, RESAMPLES, Interval


def stratified_iqm(strata: Sequence[NDArray[np.float64]], seed: int) -> Interval:
    """Interquartile mean of all values, with a 95 % percentile bootstrap interval that draws within each stratum.

    With the runs of a task as a stratum this is the interval of rliable; with the episodes of a run as one, it tells
    how sure these runs' score is, not how far other runs would be from it (see `iqm_over_runs`).
    """
    rng = np.random.default_rng(seed)
    drawn = [_redrawn(np.asarray(values, np.float64), rng) for values in strata]
    return _interval(np.concatenate(list(strata)), np.concatenate(drawn, axis=1))


def iqm_over_runs(runs: Sequence[NDArray[np.float64]]) -> Interval:
    """Mean of the runs' own interquartile means, with the 95 % interval of Student's t with one degree of freedom less
    than there are runs, at least two: what runs with other seeds would come to on average.

    Drawing a few runs anew cannot say that: a percentile bootstrap that draws three of them, then their episodes, held
    the truth in 76 to 89 % of 400 simulated cases, the less often the more the runs differed.
    """
    means = np.array([interquartile_mean(run) for run in runs])
    freedom = len(means) - 1
    reach = float(t.ppf((1 + LEVEL) / 2, freedom)) * float(means.std(ddof=1)) / math.sqrt(len(means))
    mean = float(means.mean())
    return Interval(mean, mean - reach, mean + reach)


def _redrawn(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    return values[rng.integers(len(values), size=(RESAMPLES, len(values)))]


def _interval(values: NDArray[np.float64], drawn: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(interquartile_mean(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(interquartile_mean(values)), float(low), float(high))
