"""Do the numbers beside the imagined frames mean something: reward and uncertainty?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from worldmodel.evaluation.moments.futures import Futures
from worldmodel.evaluation.statistics import Bootstrap, Interval, correlation, mean


@dataclass(frozen=True)
class Rewards:
    """Imagined against true rewards. By horizon: Pearson's correlation over contexts with a 95 % interval over episodes
    (None where the true reward is constant), mean absolute error, and that of always guessing the mean true reward;
    then over all steps."""

    correlation: list[Interval | None]
    error: list[float]
    error_of_mean: list[float]
    overall_correlation: Interval | None
    overall_error: float


@dataclass(frozen=True)
class Trust:
    """Spearman's correlation of uncertainty and error (root mean square, grey levels), with 95 % intervals over
    episodes: over all steps; by horizon, which credits nothing for knowing that later is worse; and the mean of these.
    None after a single denoising pass."""

    rank_correlation: Interval | None
    by_horizon: list[Interval | None]
    rank_correlation_within_horizon: float | None
    error_of_most_certain_tenth: float | None
    error_of_least_certain_tenth: float | None


def measure_rewards(imagined: Tensor, futures: Futures, seed: int = 0) -> Rewards:
    """imagined [B,h] against futures.rewards."""
    dreamt, true, valid = imagined.double().numpy(), futures.rewards.double().numpy(), futures.valid.numpy()
    bootstrap = Bootstrap(futures.episodes.numpy(), seed=seed)
    off = np.abs(dreamt - true)
    guess = np.abs(true - mean(true, valid).values)
    return Rewards(
        correlation=[found.known for found in bootstrap.of(correlation(dreamt, true, valid, pooled=False))],
        error=mean(off, valid).values.tolist(),
        error_of_mean=mean(guess, valid).values.tolist(),
        overall_correlation=bootstrap.one(correlation(dreamt, true, valid)).known,
        overall_error=float(off[valid].mean()),
    )


def measure_trust(uncertainty: Tensor, error: Tensor, futures: Futures, seed: int = 0) -> Trust:
    """uncertainty and error [B,h] of the same imagined frames."""
    if uncertainty.isnan().any():
        return Trust(None, [None] * futures.horizon, None, None, None)
    doubt, miss, valid = uncertainty.double().numpy(), error.double().numpy(), futures.valid.numpy()
    bootstrap = Bootstrap(futures.episodes.numpy(), seed=seed)
    by_horizon = [
        found.known for found in bootstrap.of(correlation(doubt, miss, valid, ranked=True, pooled=False))
    ]
    within = [found.mean for found in by_horizon if found is not None]
    ordered = miss[valid][np.argsort(doubt[valid], kind="stable")]
    tenth = max(1, len(ordered) // 10)
    return Trust(
        rank_correlation=bootstrap.one(correlation(doubt, miss, valid, ranked=True)).known,
        by_horizon=by_horizon,
        rank_correlation_within_horizon=float(np.mean(within)) if within else None,
        error_of_most_certain_tenth=float(ordered[:tenth].mean()),
        error_of_least_certain_tenth=float(ordered[-tenth:].mean()),
    )
