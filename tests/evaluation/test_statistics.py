"""Intervals: paired, widened for few clusters, and right as often as they say; correlations in closed form."""

import numpy as np
import pytest
from scipy import stats

from worldmodel.evaluation.statistics import (
    Bootstrap,
    correlation,
    mean,
    rank_correlation,
    resampled,
    separation,
    share,
)


def test_rank_correlation_follows_any_rising_map_and_is_none_of_a_constant() -> None:
    x = np.linspace(0, 5, 20)
    assert rank_correlation(x, np.exp(x)) == pytest.approx(1.0)
    assert rank_correlation(x, -np.exp(x)) == pytest.approx(-1.0)
    assert rank_correlation([1, 2, 3, 4], [2, 2, 2, 2]) is None


def test_correlations_of_known_pairs_are_scipys() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 2)) * 1e-7
    y = x + rng.normal(size=(30, 2)) * 1e-7
    known = rng.random((30, 2)) < 0.8
    x[~known] = np.nan
    pooled = correlation(x, y, known).value
    assert pooled == pytest.approx(stats.pearsonr(x[known], y[known]).statistic)
    by_column = correlation(x, y, known, ranked=True, pooled=False).values
    expected = [stats.spearmanr(x[k, i], y[k, i]).statistic for i, k in enumerate(known.T)]
    assert by_column == pytest.approx(expected)
    assert np.isnan(correlation(np.ones((5, 1)), x[:5, :1], np.ones((5, 1), bool)).value)


def test_separation_is_the_share_of_pairs_in_the_right_order() -> None:
    ends = np.array([False, False, True, True])
    assert separation([0.1, 0.2, 0.3, 0.4], ends) == 1.0
    assert separation([0.4, 0.3, 0.2, 0.1], ends) == 0.0
    assert separation([0.5, 0.5, 0.5, 0.5], ends) == 0.5
    assert separation([0.1, 0.2], np.array([False, False])) is None


def test_a_difference_of_pairs_knows_that_they_are_pairs() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 10, 60)
    first, second = hard + rng.normal(0, 0.1, 60), hard + 1 + rng.normal(0, 0.1, 60)
    bootstrap = Bootstrap(np.arange(60))
    gap = bootstrap.one(mean(second) - mean(first))
    assert gap.low > 0.9 and gap.high < 1.1
    alone = bootstrap.one(mean(first))
    assert alone.high - alone.low > 3


def test_missing_values_and_copies_of_a_cluster_add_nothing() -> None:
    """Moments of one episode are not independent: drawing rows instead of episodes would be too sure."""
    values = np.random.default_rng(1).normal(size=30)
    once = Bootstrap(np.arange(30)).one(mean(values))
    copied = np.concatenate([values.repeat(4), [np.nan, 7.0]])
    valid = np.arange(122) < 121
    many = Bootstrap(np.concatenate([np.arange(30).repeat(4), [0, 5]])).one(mean(copied, valid))
    assert vars(many) == pytest.approx(vars(once), rel=1e-6)


def test_a_median_is_the_value_in_the_middle() -> None:
    found = Bootstrap(np.arange(101)).median(np.random.default_rng(0).permutation(101))
    assert found.mean == 50 and 30 < found.low < 45 and 55 < found.high < 70


def test_one_cluster_tells_no_spread_and_nothing_counted_tells_nothing() -> None:
    interval = Bootstrap(np.zeros(5)).one(mean(np.arange(5.0)))
    assert (interval.mean, interval.low, interval.high) == (2.0, -np.inf, np.inf)
    assert Bootstrap(np.arange(3)).one(share(np.zeros(3), np.zeros(3))).known is None


def _pearson(first: np.ndarray, second: np.ndarray, axis: int) -> np.ndarray:
    return np.asarray(stats.pearsonr(first, second, axis=axis).statistic)


def test_six_policies_prove_nothing() -> None:
    """Why a ranking wants 20 of them: with 6, a correlation of 0.8 may be none at all."""
    interval = resampled(_pearson, np.arange(6.0), [0.0, 2, 1, 5, 3, 3.5], resamples=2000)
    assert interval.low < 0.35
    assert resampled(_pearson, [1, 1, 1], [1, 2, 3]).known is None


def coverage(clusters: int, per_cluster: int, repetitions: int, resamples: int) -> float:
    """How often the interval of a ratio of sums over unequal, skewed clusters holds its true value."""
    rng = np.random.default_rng(3)
    names = np.repeat(np.arange(clusters), per_cluster)
    bootstrap = Bootstrap(names, resamples)
    hits = 0
    for _ in range(repetitions):
        shared = rng.normal(0, 0.5, clusters).repeat(per_cluster)
        values = 2.0 + shared + rng.exponential(1.0, len(names)) - 1.0
        weights = rng.integers(1, 4, len(names))
        interval = bootstrap.one(share(values * weights, weights))
        hits += interval.low <= 2.0 <= interval.high
    return hits / repetitions


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    assert 0.90 <= coverage(24, 2, 150, 1000) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize(("clusters", "per_cluster"), [(24, 4), (64, 4), (256, 1)])
def test_intervals_hold_the_truth_in_93_to_97_of_100(clusters: int, per_cluster: int) -> None:
    assert 0.93 <= coverage(clusters, per_cluster, 1000, 10_000) <= 0.97
