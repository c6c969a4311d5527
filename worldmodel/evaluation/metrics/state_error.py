"""M1 and M2: how far the state is from the true one, and for how long it is near enough."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worldmodel.errors import WorldModelError
from worldmodel.evaluation.moments.state_spec import StateSpec
from worldmodel.evaluation.statistics import Estimate, columns

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
LEAST_MOTION = 0.01  # of the most lively feature of the same unit: what moves less is not compared
FAILS = 0.5  # nRMSE: a dream further from the truth has lost the state
UNRELATED = 2.0  # sigmas squared between two states that have nothing to do with each other
RUNNING = 3  # steps in a row


@dataclass(frozen=True)
class Scale:
    """What features are measured in. sigma [D]: their standard deviation over the evaluation set; used bool [D]: those
    that are compared."""

    sigma: Floats
    used: Mask
    velocities: Mask

    @property
    def places(self) -> Mask:
        """Which of the used features tell places, bool [D]."""
        return self.used & ~self.velocities

    def squared(self, predicted: Floats, truth: Floats) -> Floats:
        """Squared normalised errors [...,D]. A predicted feature that is not a number is as far off as an unrelated
        state is on average; a true one that is none is not asked for, and gives NaN (see sight.in_plain_sight)."""
        off = (predicted - truth) / np.where(self.sigma > 0, self.sigma, 1.0)
        squared = np.where(np.isfinite(predicted), off**2, UNRELATED)
        return np.where(self.used, np.where(np.isfinite(truth), squared, np.nan), 0.0)


def scale_of(truth: Floats, valid: Mask, spec: StateSpec, trusted: Mask | None = None) -> Scale:
    """From true features [N,h,D] (NaN: not asked for). Not used: what the probe is not `trusted` with, and what hardly
    moves within a future."""
    values = np.where(valid[..., None], truth, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of features that are never asked for
        sigma = np.nanstd(values, axis=(0, 1))
        motion = np.nan_to_num(np.sqrt(np.nanmean(np.nanvar(values, axis=1), axis=0)))
    units = np.array([feature.unit for feature in spec.features])
    most = np.array([motion[units == unit].max() for unit in units])
    used = (motion > LEAST_MOTION * most) & (sigma > 1e-9)
    if trusted is not None:
        used &= trusted
    return Scale(sigma, used, spec.velocities)


@dataclass(frozen=True)
class StateError:
    """Mean squared normalised error [N,h] over all used features, over places, and over velocities (NaN without
    any)."""

    both: Floats
    places: Floats
    velocities: Floats
    valid: Mask


def state_error(predicted: Floats, truth: Floats, valid: Mask, scale: Scale) -> StateError:
    """Of features [N,h,D]. Raises WorldModelError where no feature is left to compare."""
    if not scale.used.any():
        raise WorldModelError("The probe can be trusted with no feature, so there is no state error.")
    squared = scale.squared(predicted, truth)
    both = _mean(squared, scale.used)
    return StateError(
        both,
        _mean(squared, scale.places),
        _mean(squared, scale.used & scale.velocities),
        valid & np.isfinite(both),
    )


def nrmse(squared: Floats, valid: Mask) -> Estimate:
    """nRMSE at every horizon 1..h, from one array of a StateError [N,h]."""
    return Estimate(lambda a, b: np.sqrt(a / b), (_counted(squared, valid), columns(_known(squared, valid))))


def overall_nrmse(squared: Floats, valid: Mask) -> Estimate:
    """nRMSE over all horizons together, one number."""
    sums = _counted(squared, valid).sum(1), _known(squared, valid).sum(1)
    return Estimate(lambda a, b: np.sqrt(a / b), (columns(sums[0]), columns(sums[1])))


def skill(squared: Floats, of_copying: Floats, valid: Mask) -> Estimate:
    """1 - nRMSE / nRMSE(copying the last frame) at every horizon: 1 is perfect, 0 as good as standing still."""
    return Estimate(lambda a, b: 1 - np.sqrt(a / b), (_counted(squared, valid), _counted(of_copying, valid)))


@dataclass(frozen=True)
class Lasting:
    """Of every context, after how many steps [N] its dream had lost the state, and bool [N] whether that was seen:
    where not, it lasted at least so long (the future ended before)."""

    steps: NDArray[np.int64]
    lost: Mask
    horizon: int

    def median(self) -> Estimate:
        """Kaplan-Meier median of the steps; infinite where more than half last."""
        return Estimate(kaplan_meier_median, self._columns())

    def ratio(self, other: Lasting) -> Estimate:
        """Median over that of another row on the same contexts; NaN where the other's is not reached."""

        def divided(lost: Floats, risk: Floats, other_lost: Floats, other_risk: Floats) -> Floats:
            below = kaplan_meier_median(other_lost, other_risk)
            above = kaplan_meier_median(lost, risk)
            return np.where(np.isfinite(below), above / below, np.nan)

        return Estimate(divided, (*self._columns(), *other._columns()))

    def _columns(self) -> tuple[Floats, Floats]:
        ahead = np.arange(1, self.horizon + 1)
        return (
            columns((self.steps[:, None] == ahead) & self.lost[:, None]),
            columns(self.steps[:, None] >= ahead),
        )


def lasting(squared: Floats, valid: Mask) -> Lasting:
    """When nRMSE first exceeds FAILS for RUNNING steps in a row, from one array of a StateError [N,h]."""
    bad = (np.sqrt(np.nan_to_num(squared)) > FAILS) & valid
    runs = bad.copy()
    for ahead in range(1, RUNNING):
        runs &= np.pad(bad[:, ahead:], ((0, 0), (0, ahead)))
    lost = np.asarray(runs.any(axis=1))
    steps = np.where(lost, runs.argmax(axis=1) + 1, valid.sum(axis=1))
    return Lasting(steps, lost, squared.shape[1])


def kaplan_meier_median(lost: Floats, risk: Floats) -> Floats:
    """The first step at which the survival curve is at or below one half; [R,h] lost at each step and still followed
    then -> [R,1]; infinity where it never is. Kaplan and Meier (1958)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        falls = np.where(risk > 0, 1 - lost / risk, 1.0)
    below = np.cumprod(falls, axis=1) <= 0.5 + 1e-12
    return np.where(below.any(axis=1), below.argmax(axis=1) + 1.0, np.inf)[:, None]


def _mean(squared: Floats, which: Mask) -> Floats:
    """Over the features `which` that are asked for."""
    known = np.isfinite(squared) & which
    count = known.sum(axis=-1)
    total = np.where(known, squared, 0.0).sum(axis=-1)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)


def _known(squared: Floats, valid: Mask) -> Mask:
    return valid & np.isfinite(squared)


def _counted(squared: Floats, valid: Mask) -> Floats:
    return np.where(_known(squared, valid), squared, 0.0)
