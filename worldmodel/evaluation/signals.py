"""Do the numbers beside the imagined frames mean something: reward, end of the episode, uncertainty?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from worldmodel.evaluation.futures import Futures
from worldmodel.evaluation.statistics import correlation, rank_correlation, separation

THRESHOLD = 0.5  # a termination probability above this counts as "over"


@dataclass(frozen=True)
class Rewards:
    """Imagined against true rewards. By horizon: Pearson's correlation over contexts (None where the true reward is
    constant), mean absolute error, and that of always guessing the mean true reward; then over all steps."""

    correlation: list[float | None]
    error: list[float]
    error_of_mean: list[float]
    overall_correlation: float | None
    overall_error: float


@dataclass(frozen=True)
class Endings:
    """Imagined against true ends, over all steps. found: share of true ends called (None without any), false_alarms:
    share of other steps called; separation: how often an end gets a higher probability than another step (chance: 0.5).
    """

    ends: int
    steps: int
    found: float | None
    false_alarms: float | None
    separation: float | None
    probability_at_ends: float | None
    probability_elsewhere: float | None


@dataclass(frozen=True)
class Trust:
    """Spearman's correlation of uncertainty and error (root mean square, grey levels): over all steps, and the mean
    over horizons, which credits nothing for knowing that later is worse. None after a single denoising pass."""

    rank_correlation: float | None
    rank_correlation_within_horizon: float | None
    error_of_most_certain_tenth: float | None
    error_of_least_certain_tenth: float | None


def measure_rewards(imagined: Tensor, futures: Futures) -> Rewards:
    """imagined [B,h] against futures.rewards."""
    columns = [
        (imagined[valid, t].double().numpy(), futures.rewards[valid, t].double().numpy())
        for t, valid in enumerate(futures.valid.unbind(1))
    ]
    dreamt, true = (np.concatenate(side) for side in zip(*columns, strict=True))
    return Rewards(
        correlation=[correlation(a, b) for a, b in columns],
        error=[float(np.abs(a - b).mean()) for a, b in columns],
        error_of_mean=[float(np.abs(b - b.mean()).mean()) for _, b in columns],
        overall_correlation=correlation(dreamt, true),
        overall_error=float(np.abs(dreamt - true).mean()),
    )


def measure_endings(imagined: Sequence[tuple[Tensor, Futures]]) -> Endings:
    """Probabilities [B,h] against futures.terminated, of several sets of futures together.

    A dream is read as if it went on after an end that it called itself."""
    scores = np.concatenate([chance[futures.valid].double().numpy() for chance, futures in imagined])
    true = np.concatenate([futures.terminated[futures.valid].numpy() for _, futures in imagined])
    called = scores > THRESHOLD
    return Endings(
        ends=int(true.sum()),
        steps=len(true),
        found=_mean(called[true]),
        false_alarms=_mean(called[~true]),
        separation=separation(scores, true),
        probability_at_ends=_mean(scores[true]),
        probability_elsewhere=_mean(scores[~true]),
    )


def measure_trust(uncertainty: Tensor, error: Tensor, futures: Futures) -> Trust:
    """uncertainty and error [B,h] of the same imagined frames."""
    if uncertainty.isnan().any():
        return Trust(None, None, None, None)
    columns = [
        rank_correlation(uncertainty[valid, t], error[valid, t])
        for t, valid in enumerate(futures.valid.unbind(1))
    ]
    within = [value for value in columns if value is not None]
    doubt, miss = uncertainty[futures.valid].numpy(), error[futures.valid].numpy()
    order, tenth = np.argsort(doubt, kind="stable"), max(1, len(doubt) // 10)
    return Trust(
        rank_correlation=rank_correlation(doubt, miss),
        rank_correlation_within_horizon=float(np.mean(within)) if within else None,
        error_of_most_certain_tenth=float(miss[order[:tenth]].mean()),
        error_of_least_certain_tenth=float(miss[order[-tenth:]].mean()),
    )


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
