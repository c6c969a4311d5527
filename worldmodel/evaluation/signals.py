"""Do the numbers beside the imagined frames mean something: reward and uncertainty?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from worldmodel.evaluation.futures import Futures
from worldmodel.evaluation.statistics import Interval, correlation_interval, ranks


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
    columns = _by_horizon(imagined, futures.rewards, futures)
    dreamt, true, episodes = _pooled(columns)
    return Rewards(
        correlation=[correlation_interval(a, b, clusters, seed) for a, b, clusters in columns],
        error=[float(np.abs(a - b).mean()) for a, b, _ in columns],
        error_of_mean=[float(np.abs(b - b.mean()).mean()) for _, b, _ in columns],
        overall_correlation=correlation_interval(dreamt, true, episodes, seed),
        overall_error=float(np.abs(dreamt - true).mean()),
    )


def measure_trust(uncertainty: Tensor, error: Tensor, futures: Futures, seed: int = 0) -> Trust:
    """uncertainty and error [B,h] of the same imagined frames."""
    if uncertainty.isnan().any():
        return Trust(None, [None] * futures.horizon, None, None, None)
    columns = _by_horizon(uncertainty, error, futures)
    by_horizon = [_rank_correlation(a, b, clusters, seed) for a, b, clusters in columns]
    within = [found.mean for found in by_horizon if found is not None]
    doubt, miss, episodes = _pooled(columns)
    order, tenth = np.argsort(doubt, kind="stable"), max(1, len(doubt) // 10)
    return Trust(
        rank_correlation=_rank_correlation(doubt, miss, episodes, seed),
        by_horizon=by_horizon,
        rank_correlation_within_horizon=float(np.mean(within)) if within else None,
        error_of_most_certain_tenth=float(miss[order[:tenth]].mean()),
        error_of_least_certain_tenth=float(miss[order[-tenth:]].mean()),
    )


Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


def _by_horizon(first: Tensor, second: Tensor, futures: Futures) -> list[Pairs]:
    """At each horizon, both values and the episode of every future that reaches it."""
    return [
        (first[valid, t].double().numpy(), second[valid, t].double().numpy(), futures.episodes[valid].numpy())
        for t, valid in enumerate(futures.valid.unbind(1))
    ]


def _pooled(columns: Sequence[Pairs]) -> Pairs:
    first, second, episodes = (np.concatenate(side) for side in zip(*columns, strict=True))
    return first, second, episodes


def _rank_correlation(
    first: np.ndarray, second: np.ndarray, episodes: np.ndarray, seed: int
) -> Interval | None:
    return correlation_interval(ranks(first), ranks(second), episodes, seed)
