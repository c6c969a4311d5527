"""M6: do futures of one state part under different actions as they do in truth?"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worldmodel.evaluation.metrics.state_error import Scale
from worldmodel.evaluation.statistics import Estimate, columns, share

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Response:
    """cf_r2 = 1 - sum|dhat - d|^2 / sum|d|^2 over all pairs of branches and steps, where d is the difference of two
    true states and dhat that of the dreamt ones: 1 is right, 0 is deaf to actions, -1 is what other actions give;
    by_horizon: the same at every step; gain = sum|dhat| / sum|d|; cosine: the mean of dhat and d, weighted by |d|;
    pairs: how many are counted."""

    cf_r2: Estimate
    by_horizon: Estimate
    gain: Estimate
    cosine: Estimate
    pairs: int


def response(predicted: Floats, truth: Floats, valid: Mask, scale: Scale) -> Response:
    """Of features [N,K,h,D] of K branches, valid bool [N,K,h]; a true feature that is NaN is not asked for."""
    sigma = np.where(scale.sigma > 0, scale.sigma, 1.0)
    found, real = ((side / sigma)[..., scale.used] for side in (predicted, truth))
    count, miss, power, dreamt, true, along = pair_sums(found, real, valid)
    whole = [part.sum(axis=1) for part in (miss, power, dreamt, true, along)]
    return Response(
        cf_r2=Estimate(_explained, (columns(whole[0]), columns(whole[1]))),
        by_horizon=Estimate(_explained, (miss, power)),
        gain=share(whole[2], whole[3]),
        cosine=share(whole[4], whole[3]),
        pairs=int(count.max(axis=1).sum()),
    )


def pair_sums(predicted: NDArray[Any], truth: NDArray[Any], valid: Mask) -> Floats:
    """[6,N,h] from [N,K,h,D], over all pairs of branches that are both valid [N,K,h]: how many, |dhat - d|^2, |d|^2,
    |dhat|, |d|, and d along dhat.

    Where the truth is not told (NaN) nothing is asked; where the dream cannot be read, it is as good as other actions.
    """
    sums = np.zeros((6, truth.shape[0], truth.shape[2]))
    for one, other in combinations(range(truth.shape[1]), 2):
        d, dhat = (
            np.subtract(side[:, one], side[:, other], dtype=np.result_type(side, np.float32))
            for side in (truth, predicted)
        )
        told, read = np.isfinite(d), np.isfinite(dhat)
        d, dhat = np.where(told, d, 0), np.where(told & read, dhat, 0)
        miss = np.where(told & ~read, 2 * d**2, (dhat - d) ** 2).sum(-1, dtype=np.float64)
        power, dreamt = ((side**2).sum(-1, dtype=np.float64) for side in (d, dhat))
        true, dreamt = np.sqrt(power), np.sqrt(dreamt)
        along = (d * dhat).sum(-1, dtype=np.float64)
        along = np.divide(along, dreamt, out=np.zeros_like(true), where=dreamt > 1e-12)
        counted = valid[:, one] & valid[:, other]
        sums += np.where(counted, np.stack((np.ones_like(true), miss, power, dreamt, true, along)), 0.0)
    return sums


def _explained(miss: Floats, power: Floats) -> Floats:
    return 1 - miss / power
