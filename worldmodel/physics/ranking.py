"""M9 on numbers: do returns in the dream rank policies as returns in reality do?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from worldmodel.errors import WorldModelError
from worldmodel.evaluation.statistics import Interval
from worldmodel.physics.bootstrap import RESAMPLES, Bootstrap, pearson_rows, rank_rows, resampled_rows

Floats = NDArray[np.float64]
LEAST_POLICIES = 20  # with 6 policies, a correlation of 0.8 has the interval [-0.03, 0.98]
MEASURES = ("spearman", "tau_b", "pearson", "mmrv")


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

    def interval(rows: object) -> Interval | None:
        return resampled_rows(rows, truth, dreamt, resamples=resamples, seed=seed)  # type: ignore[arg-type]

    return Ranking(
        policies=len(truth),
        spearman=interval(_spearman_rows),
        tau_b=interval(_tau_b_rows),
        pearson=interval(pearson_rows),
        mmrv=interval(_mmrv_rows),
        regret_at={k: regret_at(k, real=truth, dream=dreamt) for k in (1, 3)},
    )


def mean_maximum_rank_violation(*, real: ArrayLike, dream: ArrayLike) -> float | None:
    """SIMPLER's MMRV (Li et al., 2024): mean over policies of the largest real difference to a policy that the dream
    orders the other way. In units of the return; None where the dream's or the real returns are constant."""
    value = float(_mmrv_rows(*(side[None] for side in _pair(real, dream)))[0])
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
    return Bootstrap(clusters, seed=seed).mean((dreamt - truth) / span)[0]


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
        accuracy=bootstrap.mean(right)[0],
        chance=float((truth == best).mean()),
        regret=bootstrap.mean((picked * lost).sum(axis=1))[0],
        regret_of_guessing=bootstrap.mean(lost.mean(axis=1))[0],
    )


def _pair(real: ArrayLike, dream: ArrayLike) -> tuple[Floats, Floats]:
    truth, dreamt = np.asarray(real, np.float64), np.asarray(dream, np.float64)
    if truth.shape != dreamt.shape:
        raise WorldModelError(
            f"real and dream must hold the same policies, got {truth.shape} and {dreamt.shape}."
        )
    return truth, dreamt


def _spearman_rows(real: Floats, dream: Floats) -> Floats:
    return pearson_rows(rank_rows(real), rank_rows(dream))


def _tau_b_rows(real: Floats, dream: Floats) -> Floats:
    """Kendall's tau-b of rows [R,P]."""
    return np.concatenate([_tau_b(r, d) for r, d in zip(_chunks(real), _chunks(dream), strict=True)])


def _tau_b(real: Floats, dream: Floats) -> Floats:
    a, b = (np.sign(side[:, :, None] - side[:, None, :]) for side in (real, dream))
    spread = np.sqrt((a * a).sum((1, 2)) * (b * b).sum((1, 2)))
    return np.divide((a * b).sum((1, 2)), spread, out=np.full(len(a), np.nan), where=spread > 0)


def _mmrv_rows(real: Floats, dream: Floats) -> Floats:
    return np.concatenate([_mmrv(r, d) for r, d in zip(_chunks(real), _chunks(dream), strict=True)])


def _mmrv(real: Floats, dream: Floats) -> Floats:
    gap = real[:, :, None] - real[:, None, :]
    swapped = (gap < 0) != (dream[:, :, None] < dream[:, None, :])
    worst = (np.abs(gap) * swapped).max(axis=2).mean(axis=1)
    varied = (np.ptp(real, axis=1) > 0) & (np.ptp(dream, axis=1) > 0)
    return np.where(varied, worst, np.nan)


def _chunks(rows: Floats) -> list[Floats]:
    """So that [R,P,P] stays small."""
    return np.array_split(rows, max(1, rows.shape[0] * rows.shape[1] ** 2 // 4_000_000))
