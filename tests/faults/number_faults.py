"""Controls 12 to 14: uncertainty that is told wrong, rankings of nothing, and sides that are swapped."""

from typing import Any

import numpy as np
from checks import check
from fault_bench import Bench
from numpy.typing import NDArray

from worldmodel.evaluation.controls import Check
from worldmodel.evaluation.metrics.ranking import (
    decide,
    mean_maximum_rank_violation,
    rank_policies,
    regret_at,
    signed_bias,
)
from worldmodel.evaluation.metrics.state_error import scale_of
from worldmodel.evaluation.metrics.trust import measure_spread
from worldmodel.evaluation.statistics import Bootstrap

Floats = NDArray[np.float64]
RANDOM = 2  # the first branch with random actions
POLICIES, RESAMPLES, PERMUTATIONS, COVERED = 24, 400, 40, 0.8
SAMPLES, LEAST_WIDTH = 16, 0.01  # width in sigmas
RISE, SAME = 0.1, 0.1


def wrong_spread(bench: Bench) -> list[Check]:
    """Samples and truth are draws of one distribution: around a true future, as wide as random branches part there."""
    futures = _branch_features(bench)
    scale = scale_of(futures.reshape(-1, *futures.shape[2:]), _valid(bench), bench.subject.spec)
    futures, sigma = futures[..., scale.used], scale.sigma[scale.used]
    rng = np.random.default_rng(bench.seed)
    width = futures[:, RANDOM:].std(axis=1, keepdims=True) + LEAST_WIDTH * sigma
    drawn = futures[:, 1:2] + width * rng.normal(size=(len(futures), 1 + SAMPLES, *futures.shape[2:]))
    real, samples = drawn[:, 0], drawn[:, 1:]
    middle = samples.mean(axis=1, keepdims=True)
    bootstrap = Bootstrap(np.arange(len(futures)), resamples=2)

    def ence(factor: float, count: int = SAMPLES) -> float:
        wide = middle + factor * (samples - middle)
        return measure_spread(wide[:, :count], real, sigma, bootstrap).ence.mean

    right, narrow, wide = ence(1.0), ence(0.5), ence(2.0)
    return [
        check("M8", f"x0.5: ENCE above {right:.2f} + {RISE}", narrow, right + RISE),
        check("M8", f"x2: ENCE above {right:.2f} + {RISE}", wide, right + RISE),
        check("M8", f"half the samples: within {SAME}", abs(ence(1.0, SAMPLES // 2) - right), 0.0, SAME),
    ]


def permuted(bench: Bench) -> list[Check]:
    """Every branch is a policy; its return is by how much it changed one feature, in truth and under noisy
    actions."""
    truth = _branch_features(bench)
    real = _returns(truth, _liveliest(truth))
    assert bench.halved_branches.truth is not None
    dream = _returns(bench.branches.unflat(bench.halved_branches.truth.features), _liveliest(truth))
    rng = np.random.default_rng(bench.seed)
    chosen = rng.permutation(len(real))[:POLICIES]
    real, dream = real[chosen], dream[chosen]
    covers = []
    for _ in range(PERMUTATIONS):
        found = rank_policies(real=real, dream=rng.permutation(dream), resamples=RESAMPLES).spearman
        covers.append(found is not None and found.low <= 0 <= found.high)
    own = rank_policies(real=real, dream=dream, resamples=RESAMPLES).spearman
    constant = rank_policies(real=real, dream=np.ones_like(real), resamples=RESAMPLES)
    nothing = [constant.spearman, constant.tau_b, constant.pearson, constant.mmrv]
    null = all(value is None for value in nothing)
    low = np.nan if own is None else own.low
    return [
        check("M9", "permuted: 80 % of the intervals or more cover 0", float(np.mean(covers)), COVERED),
        check("M9", "not permuted: the interval of Spearman's correlation is above 0", low, 0.0),
        Check("M9", "constant returns: no value", "no value" if null else f"{nothing}", null),
    ]


def swapped_arguments(bench: Bench) -> list[Check]:
    """What is real and what is dreamt must be said by name."""
    real, dream = np.arange(20.0), np.arange(20.0)[::-1]
    functions: list[Any] = [rank_policies, mean_maximum_rank_violation, signed_bias, decide, regret_at]
    refused = 0
    for function in functions:
        try:
            function(real, dream)
        except TypeError:
            refused += 1
    told = f"{refused} of {len(functions)} refuse"
    return [Check("M9", "without names: refused", told, refused == len(functions))]


def _branch_features(bench: Bench) -> Floats:
    assert bench.branch_rollouts.truth is not None
    return bench.branches.unflat(bench.branch_rollouts.truth.features)


def _valid(bench: Bench) -> NDArray[np.bool_]:
    return bench.branch_rollouts.valid


def _liveliest(features: Floats) -> int:
    """The feature [N,K,h,D] in which the branches of a context differ most, in standard deviations."""
    apart = features.mean(axis=2).std(axis=1).mean(axis=0)
    return int(np.argmax(apart / (features.std(axis=(0, 1, 2)) + 1e-9)))


def _returns(features: Floats, number: int) -> Floats:
    """[N*K] from [N,K,h,D]: by how much one feature changed, on average over the steps."""
    chosen = features[..., number]
    return (chosen - chosen[..., :1]).mean(axis=2).ravel()
