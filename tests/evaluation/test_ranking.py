"""Ranking of policies: closed forms, nothing for nothing, and arguments that cannot be swapped."""

import numpy as np
import pytest

from worldmodel.errors import WorldModelError
from worldmodel.evaluation.metrics.ranking import (
    decide,
    mean_maximum_rank_violation,
    rank_policies,
    regret_at,
    signed_bias,
)

REAL = np.array([1.0, 2.0, 4.0, 7.0])


def test_mmrv_is_the_mean_of_every_policys_worst_wrong_order() -> None:
    """Of 1, 2, 4, 7 the dream swaps the last two: both miss by 3, the others by nothing."""
    assert mean_maximum_rank_violation(real=REAL, dream=REAL * 3 - 5) == 0.0
    assert mean_maximum_rank_violation(real=REAL, dream=np.array([1.0, 2, 7, 4])) == pytest.approx(1.5)
    assert mean_maximum_rank_violation(real=REAL, dream=-REAL) == pytest.approx((6 + 5 + 3 + 6) / 4)


def test_arguments_cannot_be_given_by_place_and_swapping_them_matters() -> None:
    dream = np.array([0.1, 0.4, 0.2, 0.3])
    one = mean_maximum_rank_violation(real=REAL, dream=dream)
    assert one != mean_maximum_rank_violation(real=dream, dream=REAL)
    for function in (mean_maximum_rank_violation, rank_policies, decide):
        with pytest.raises(TypeError, match="positional"):
            function(REAL, dream)  # type: ignore[operator]
    with pytest.raises(WorldModelError, match="must hold the same policies"):
        rank_policies(real=REAL, dream=dream[:3])


def test_constant_returns_rank_nothing() -> None:
    for real, dream in ((REAL, np.ones(4)), (np.ones(4), REAL)):
        found = rank_policies(real=real, dream=dream, resamples=50)
        assert found.spearman is found.tau_b is found.pearson is found.mmrv is None
    assert rank_policies(real=REAL, dream=np.ones(4), resamples=50).regret_at == {1: None, 3: None}


def test_true_returns_rank_perfectly_and_permuted_labels_mean_nothing() -> None:
    real = np.random.default_rng(0).normal(size=24)
    perfect = rank_policies(real=real, dream=real * 2 + 1, resamples=500)
    assert perfect.enough and perfect.regret_at == {1: 0.0, 3: 0.0}
    for found in (perfect.spearman, perfect.tau_b, perfect.pearson):
        assert found is not None and found.mean == pytest.approx(1.0)
    permuted = rank_policies(real=real, dream=np.random.default_rng(1).permutation(real), resamples=2000)
    for found in (permuted.spearman, permuted.tau_b, permuted.pearson):
        assert found is not None and found.low < 0 < found.high
    assert permuted.mmrv is not None and permuted.mmrv.mean > 0.5


def test_tau_b_counts_ties_as_kendall_does() -> None:
    """Of 6 pairs: 4 agree, 1 disagrees, 1 is tied on one side: 3 / sqrt(6 * 5)."""
    found = rank_policies(real=[1, 2, 3, 4], dream=[1, 3, 2, 3], resamples=50)
    assert found.tau_b is not None and found.tau_b.mean == pytest.approx(3 / np.sqrt(30))


def test_regret_is_what_the_dreams_choice_costs() -> None:
    dream = np.array([5.0, 9.0, 8.0, 1.0])
    assert regret_at(1, real=REAL, dream=dream) == 5.0
    assert regret_at(3, real=REAL, dream=dream) == 3.0
    assert regret_at(1, real=REAL, dream=[0, 9, 9, 0]) == pytest.approx(7 - 3.0)


def test_bias_is_signed_and_in_units_of_what_can_be_learned() -> None:
    real = np.random.default_rng(2).normal(size=40)
    found = signed_bias(real=real, dream=real + 3, clusters=np.arange(40), span=10.0)
    assert found is not None and found.mean == pytest.approx(0.3) and found.low == pytest.approx(0.3)
    assert signed_bias(real=real, dream=real, clusters=np.arange(40), span=0.0) is None


def test_decisions() -> None:
    rng = np.random.default_rng(4)
    real = rng.normal(size=(50, 5))
    real[:5] = 1.0  # nothing to choose here
    perfect = decide(real=real, dream=real * 2, clusters=np.arange(50))
    assert perfect.contexts == 45 and perfect.accuracy is not None and perfect.accuracy.mean == 1.0
    assert perfect.regret is not None and perfect.regret.mean == 0.0
    blind = decide(real=real, dream=np.zeros((50, 5)), clusters=np.arange(50))
    assert blind.accuracy is not None and blind.accuracy.mean == pytest.approx(blind.chance) == 0.2
    assert blind.regret is not None and blind.regret_of_guessing is not None
    assert blind.regret.mean == pytest.approx(blind.regret_of_guessing.mean)
    assert decide(real=np.ones((3, 5)), dream=real[:3], clusters=np.arange(3)).accuracy is None
