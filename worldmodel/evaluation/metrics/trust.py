"""M8: does the dream know when it errs? Samples against the truth, and the told uncertainty against the error."""

# N contexts, K dreams of each that differ by their noise alone, h steps, D features

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from worldmodel.errors import WorldModelError
from worldmodel.evaluation.statistics import Bootstrap, Estimate, Interval, correlation, share

Floats = NDArray[np.float64]
BINS = 10
LEAST_SAMPLES = 4
FALSE_ALARMS = 0.05
COVERS = (0.5, 0.9)
LEAST_SOUND = 20  # contexts that pass, below which 5 % of them are no threshold


@dataclass(frozen=True)
class Spread:
    """Of K samples, in units of each feature's standard deviation.

    coverage: level -> share of true values inside the samples' central interval (Student's, from their mean and
    deviation: exact for normal errors, whatever K is), outside where a sample does not show it; ence: expected
    normalised calibration error (Levi et al., 2022) on single samples; told, found: root mean square distance of two
    samples, and of a sample from the truth, by horizon (equal where the samples spread as the errors do); bins: (told,
    found) of the ENCE's bins.
    """

    samples: int
    coverage: dict[float, Interval]
    ence: Interval
    told: list[float]
    found: list[float]
    bins: list[tuple[float, float]]


@dataclass(frozen=True)
class Silence:
    """The silence test: of the contexts whose dream fails, how many are flagged by an uncertainty above the
    (1 - FALSE_ALARMS) quantile of the others. flagged None: nothing failed, or too little was sound; why says so."""

    failing: int
    sound: int
    flagged: Interval | None
    why: str = ""


@dataclass(frozen=True)
class Warned:
    """Uncertainty told with the frames against their error.

    spearman: over all steps; within_horizon: mean over horizons, which credits nothing for knowing that later is
    worse; risk: mean error of the most certain 10, 20, ... 100 % of the steps; risk_gain: share of what perfect
    knowledge of the errors would gain over none, as the area under that curve (1 perfect, 0 useless); silence: see
    Silence.
    """

    spearman: Interval | None
    within_horizon: Interval | None
    risk: list[float]
    best_risk: list[float]
    risk_gain: float | None
    silence: Silence


def measure_spread(samples: Floats, truth: Floats, sigma: Floats, bootstrap: Bootstrap) -> Spread:
    """samples [N,K,h,D], K at least 4, and truth [N,h,D] as features, NaN where it is not asked for; sigma [D]."""
    if samples.shape[1] < LEAST_SAMPLES:
        raise WorldModelError(
            f"{samples.shape[1]} samples do not tell a spread: draw at least {LEAST_SAMPLES}."
        )
    samples, truth = samples / sigma, truth / sigma
    count = samples.shape[1]
    middle, deviation = samples.mean(1), samples.std(1, ddof=1)
    off = np.abs(truth - middle)
    known, asked = np.isfinite(off) & np.isfinite(deviation), np.isfinite(truth).sum((1, 2))
    coverage = {}
    for level in COVERS:
        reach = t.ppf((1 + level) / 2, count - 1) * deviation * np.sqrt(1 + 1 / count)
        inside = np.where(known, off <= reach, 0.0).sum((1, 2))
        coverage[level] = bootstrap.one(share(inside, asked))
    # Two samples of one distribution differ by twice its variance, and so do a sample and the truth if it is one more
    # draw. Both means are unbiased for any number of samples; the error of the samples' mean would shrink with it.
    told = 2 * deviation**2
    found = ((samples - truth[:, None]) ** 2).mean(1)
    sums = [np.zeros((len(truth), BINS)) for _ in range(3)]
    halves = samples[:, : count // 2], samples[:, count // 2 :]
    for chosen, judged in (halves, halves[::-1]):
        # Bins by one half, judged by the other: what by chance spreads little in one does not in the other.
        by_bin, other = _bins(chosen.var(1, ddof=1), known), 2 * judged.var(1, ddof=1)
        for total, values in zip(sums, (other, found, np.ones_like(found)), strict=True):
            total += np.stack([np.where(by_bin == b, values, 0.0).sum((1, 2)) for b in range(BINS)], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        bins = np.sqrt(np.stack([sums[0].sum(0), sums[1].sum(0)], 1) / sums[2].sum(0)[:, None])
    return Spread(
        samples=count,
        coverage=coverage,
        ence=bootstrap.one(Estimate(_ence, (sums[0], sums[1]))),
        told=np.sqrt(_mean(told, known, (0, 2))).tolist(),
        found=np.sqrt(_mean(found, known, (0, 2))).tolist(),
        bins=[(float(a), float(b)) for a, b in bins if np.isfinite(a) and np.isfinite(b)],
    )


def measure_warning(
    uncertainty: Floats,
    error: Floats,
    valid: NDArray[np.bool_],
    failed: NDArray[np.bool_] | None,
    bootstrap: Bootstrap,
) -> Warned:
    """uncertainty and error [N,h] of the same frames, in any units that rise together; failed [N]: contexts whose dream
    fails M1, None without M1. NaN is not counted; an uncertainty that is NaN throughout must not be given."""
    known = valid & np.isfinite(uncertainty) & np.isfinite(error)
    order = np.argsort(uncertainty[known], kind="stable")
    errors = error[known]
    risk, best = _risk(errors[order]), _risk(np.sort(errors))
    mean = float(errors.mean()) if len(errors) else float("nan")
    gain = (mean - np.mean(risk)) / (mean - np.mean(best)) if mean > np.mean(best) else None
    return Warned(
        spearman=bootstrap.one(correlation(uncertainty, error, known, ranked=True)).known,
        within_horizon=bootstrap.one(_mean_over_horizons(uncertainty, error, known)).known,
        risk=risk,
        best_risk=best,
        risk_gain=None if gain is None else float(gain),
        silence=_silence(uncertainty, known, failed, bootstrap),
    )


def _silence(
    uncertainty: Floats, known: NDArray[np.bool_], failed: NDArray[np.bool_] | None, bootstrap: Bootstrap
) -> Silence:
    if failed is None:
        return Silence(0, 0, None, "no state is known that a dream could lose")
    score = np.where(known, uncertainty, 0).sum(1) / np.maximum(known.sum(1), 1)
    there = known.any(1)
    failing, sound = failed & there, ~failed & there
    counts = int(failing.sum()), int(sound.sum())
    if not counts[0]:
        return Silence(*counts, None, "no context failed")
    if counts[1] < LEAST_SOUND:
        why = f"only {counts[1]} contexts did not fail, {LEAST_SOUND} are needed to fix the share of false alarms"
        return Silence(*counts, None, why)
    threshold = np.quantile(score[sound], 1 - FALSE_ALARMS)
    flagged = bootstrap.one(share((score > threshold) & failing, failing))
    return Silence(*counts, flagged)


def _bins(told: Floats, known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The bin of every value by its told variance, equally full; -1 where it is not known."""
    bins = np.full(told.shape, -1)
    rank = np.argsort(np.argsort(told[known], kind="stable"), kind="stable")
    bins[known] = rank * BINS // max(1, len(rank))
    return bins


def _ence(told: Floats, found: Floats) -> Floats:
    """Mean over bins of |told - found| / told; [R,BINS] sums of squares -> [R,1]. Bins in which nothing is told to
    spread at all count as wholly wrong (1) unless nothing errs there."""
    rms_told, rms_found = np.sqrt(told), np.sqrt(found)
    gap = np.abs(rms_told - rms_found)
    share = np.divide(gap, rms_told, out=np.where(gap > 0, 1.0, 0.0), where=rms_told > 1e-12)
    used = (told > 0) | (found > 0)
    return (share * used).sum(1, keepdims=True) / np.maximum(used.sum(1, keepdims=True), 1)


def _mean(values: Floats, known: NDArray[np.bool_], axes: tuple[int, ...]) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, values, 0.0).sum(axes) / known.sum(axes))


def _mean_over_horizons(uncertainty: Floats, error: Floats, known: NDArray[np.bool_]) -> Estimate:
    each = correlation(uncertainty, error, known, ranked=True, pooled=False)

    def mean(*sums: Floats) -> Floats:
        values = each.statistic(*sums)
        told = np.isfinite(values)
        return np.where(told, values, 0).sum(1, keepdims=True) / told.sum(1, keepdims=True)

    return Estimate(mean, each.columns)


def _risk(errors: Floats) -> list[float]:
    if not len(errors):
        return []
    sums = np.cumsum(errors)
    ends = [max(1, round(len(errors) * share / 10)) for share in range(1, 11)]
    return [float(sums[end - 1] / end) for end in ends]
