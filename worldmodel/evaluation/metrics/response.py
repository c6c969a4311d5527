"""M6: do futures of one state part under different actions as they do in truth?"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

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
    sums, pairs = np.zeros((5, *truth.shape[:1], truth.shape[2])), 0
    for one, other in combinations(range(truth.shape[1]), 2):
        counted = valid[:, one] & valid[:, other]
        d = _difference(truth[:, one], truth[:, other], scale)
        dhat = _difference(predicted[:, one], predicted[:, other], scale)
        # Not asked for where the truth is not told; where the dream cannot be read, as good as other actions.
        told, read = np.isfinite(d), np.isfinite(dhat)
        d = np.where(told, d, 0.0)
        miss = np.where(told, np.where(read, (np.nan_to_num(dhat) - d) ** 2, 2 * d**2), 0.0).sum(-1)
        dhat = np.where(told & read, dhat, 0.0)
        true, dreamt = np.linalg.norm(d, axis=-1), np.linalg.norm(dhat, axis=-1)
        along = np.divide((d * dhat).sum(-1), dreamt, out=np.zeros_like(true), where=dreamt > 1e-12)
        sums += np.where(counted, np.stack((miss, (d**2).sum(-1), dreamt, true, along)), 0.0)
        pairs += int(counted.any(axis=1).sum())
    miss, power, dreamt, true, along = sums
    whole = [part.sum(axis=1) for part in sums]
    return Response(
        cf_r2=Estimate(_explained, (columns(whole[0]), columns(whole[1]))),
        by_horizon=Estimate(_explained, (miss, power)),
        gain=share(whole[2], whole[3]),
        cosine=share(whole[4], whole[3]),
        pairs=pairs,
    )


def _difference(one: Floats, other: Floats, scale: Scale) -> Floats:
    """In sigmas, of the used features; NaN where either is."""
    return np.asarray(((one - other) / np.where(scale.sigma > 0, scale.sigma, 1.0))[..., scale.used])


def _explained(miss: Floats, power: Floats) -> Floats:
    return 1 - miss / power
