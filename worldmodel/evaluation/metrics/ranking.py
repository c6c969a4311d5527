"""M9 on numbers: do returns in the dream rank policies as returns in reality do?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from worldmodel.errors import WorldModelError
from worldmodel.evaluation.statistics import RESAMPLES, Bootstrap, Interval, mean, resampled

Floats = NDArray[np.float64]
LEAST_POLICIES = 20  # with 6 policies, a correlation of 0.8 has the interval [-0.03, 0.98]


@dataclass(frozen=True)
class Ranking:
    """Over P policies. spearman, tau_b, pearson: None where either side's returns are constant; mmrv, in units of
    the return: 0 is a perfect ranking; regret_at: k -> return lost by taking the best of the dream's k best
    policies instead of the best; intervals draw policies again."""

    policies: int
    spearman: Interval | None
    tau_b: Interval | None
    pearson: Interval | None
    mmrv: Interval | None
    regret_at: dict[int, float | None]

    @property
    def enough(self) -> bool:
        """Whether there are as many policies as a ranking needs."""
        return self.policies >= LEAST_POLICIES


def rank_policies(*, real: ArrayLike, dream: ArrayLike, seed: int = 0, resamples: int = RESAMPLES) -> Ranking:
    """real, dream [P]: mean returns of the same policies. Keyword-only: swapped, some of the measures change."""
    truth, dreamt = _pair(real, dream)

    def interval(statistic: Callable[..., Floats]) -> Interval | None:
        return resampled(statistic, truth, dreamt, resamples=resamples, seed=seed).known

    return Ranking(
        policies=len(truth),
        spearman=interval(_spearman),
        tau_b=interval(_tau_b),
        pearson=interval(_pearson),
        mmrv=interval(_mmrv),
        regret_at={k: regret_at(k, real=truth, dream=dreamt) for k in (1, 3)},
    )


def mean_maximum_rank_violation(*, real: ArrayLike, dream: ArrayLike) -> float | None:
    """SIMPLER's MMRV (Li et al., 2024): mean over policies of the largest real difference to a policy that the dream
    orders the other way. In units of the return; None where the dream's or the real returns are constant."""
    value = float(_mmrv(*_pair(real, dream)))
    return value if np.isfinite(value) else None


def regret_at(k: int, *, real: ArrayLike, dream: ArrayLike) -> float | None:
    """Real return of the best policy minus that of the best among the dream's k best (ties: the mean over them).

    None where returns are constant on either side: there is nothing to choose, or nothing to lose."""
    truth, dreamt = _pair(real, dream)
    if np.ptp(dreamt) == 0 or np.ptp(truth) == 0:
        return None
    order = np.argsort(-dreamt, kind="stable")[:k]
    if k == 1:
        return float(truth.max() - truth[dreamt == dreamt.max()].mean())
    return float(truth.max() - truth[order].max())


def signed_bias(
    *, real: ArrayLike, dream: ArrayLike, clusters: ArrayLike, span: float, seed: int = 0
) -> Interval | None:
    """mean(J_dream - J_real) / span over episodes [N], span = J_expert - J_random; None without a span."""
    truth, dreamt = _pair(real, dream)
    if not span > 0:
        return None
    return Bootstrap(clusters, seed=seed).one(mean((dreamt - truth) / span))


@dataclass(frozen=True)
class Decisions:
    """Of several action sequences from one state, does the dream pick the best? accuracy: how often (ties in the
    dream share); chance: how often guessing does; regret: return lost by the dream's choice, and by guessing, in
    shares of the range between the best and the worst sequence. contexts: those where the sequences really differ."""

    contexts: int
    accuracy: Interval | None
    chance: float
    regret: Interval | None
    regret_of_guessing: Interval | None


def decide(*, real: ArrayLike, dream: ArrayLike, clusters: ArrayLike, seed: int = 0) -> Decisions:
    """real, dream [N,K]: returns of the same K sequences from N states. Keyword-only: they must not be swapped."""
    truth, dreamt = _pair(real, dream)
    differ = np.ptp(truth, axis=1) > 1e-9
    truth, dreamt = truth[differ], dreamt[differ]
    chance = 1.0 / truth.shape[1]
    if not len(truth):
        return Decisions(0, None, chance, None, None)
    picked = (dreamt == dreamt.max(axis=1, keepdims=True)).astype(np.float64)
    picked /= picked.sum(axis=1, keepdims=True)
    best = truth.max(axis=1, keepdims=True)
    right = (picked * (truth == best)).sum(axis=1)
    lost = (best - truth) / np.ptp(truth, axis=1)[:, None]
    bootstrap = Bootstrap(np.asarray(clusters)[differ], seed=seed)
    return Decisions(
        contexts=len(truth),
        accuracy=bootstrap.one(mean(right)),
        chance=float((truth == best).mean()),
        regret=bootstrap.one(mean((picked * lost).sum(axis=1))),
        regret_of_guessing=bootstrap.one(mean(lost.mean(axis=1))),
    )


def _pair(real: ArrayLike, dream: ArrayLike) -> tuple[Floats, Floats]:
    truth, dreamt = np.asarray(real, np.float64), np.asarray(dream, np.float64)
    if truth.shape != dreamt.shape:
        raise WorldModelError(
            f"real and dream must hold the same policies, got {truth.shape} and {dreamt.shape}."
        )
    return truth, dreamt


def _pearson(real: Floats, dream: Floats, axis: int = -1) -> Floats:
    return np.asarray(stats.pearsonr(real, dream, axis=axis).statistic)


def _spearman(real: Floats, dream: Floats, axis: int = -1) -> Floats:
    return _pearson(stats.rankdata(real, axis=axis), stats.rankdata(dream, axis=axis))


def _tau_b(real: Floats, dream: Floats, axis: int = -1) -> Floats:
    """Kendall's tau-b of rows [...,P]: the correlation of the signs of all differences (Kendall, 1945), which is many
    times as fast as scipy.stats.kendalltau row by row."""
    truth, dreamt = (np.sign(_gaps(side)).reshape(*side.shape[:-1], -1) for side in (real, dream))
    return _pearson(truth, dreamt)


def _mmrv(real: Floats, dream: Floats, axis: int = -1) -> Floats:
    gaps = _gaps(real)
    swapped = (gaps < 0) != (_gaps(dream) < 0)
    worst = (np.abs(gaps) * swapped).max(axis=-1).mean(axis=-1)
    varied = (np.ptp(real, axis=-1) > 0) & (np.ptp(dream, axis=-1) > 0)
    return np.where(varied, worst, np.nan)


def _gaps(values: Floats) -> Floats:
    """[...,P] -> [...,P,P]: by how much each is above each."""
    return values[..., :, None] - values[..., None, :]
