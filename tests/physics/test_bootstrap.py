"""Intervals: paired, widened for few clusters, and right as often as they say."""

import numpy as np
import pytest

from worldmodel.physics.bootstrap import Bootstrap, pearson_rows, rank_rows, resampled_rows, t_quantile


@pytest.mark.parametrize(
    ("probability", "degrees", "expected"),
    [(0.975, 1, 12.706), (0.975, 2, 4.303), (0.95, 3, 2.353), (0.975, 9, 2.262), (0.75, 3, 0.765)],
)
def test_students_t_is_as_in_tables(probability: float, degrees: int, expected: float) -> None:
    assert t_quantile(probability, degrees) == pytest.approx(expected, abs=0.01)


def test_a_difference_of_pairs_knows_that_they_are_pairs() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 10, 60)
    first, second = hard + rng.normal(0, 0.1, 60), hard + 1 + rng.normal(0, 0.1, 60)
    bootstrap = Bootstrap(np.arange(60))
    (gap,) = bootstrap.difference(second, first)
    assert gap.low > 0.9 and gap.high < 1.1
    alone = bootstrap.mean(first)[0]
    assert alone.high - alone.low > 3


def test_missing_values_and_copies_of_a_cluster_add_nothing() -> None:
    values = np.random.default_rng(1).normal(size=30)
    once = Bootstrap(np.arange(30)).mean(values)[0]
    copied = np.concatenate([values.repeat(4), [np.nan, np.nan]])
    many = Bootstrap(np.concatenate([np.arange(30).repeat(4), [0, 5]])).mean(copied)[0]
    assert (many.mean, many.low, many.high) == pytest.approx((once.mean, once.low, once.high), rel=1e-6)


def test_one_cluster_tells_no_spread() -> None:
    interval = Bootstrap(np.zeros(5)).mean(np.arange(5.0))[0]
    assert (interval.mean, interval.low, interval.high) == (2.0, -np.inf, np.inf)


def test_ranks_and_correlations_of_rows() -> None:
    assert rank_rows(np.array([[10.0, 30, 20, 20]])).tolist() == [[1.0, 4.0, 2.5, 2.5]]
    rows = np.array([[1.0, 2, 3], [1, 1, 1]])
    assert pearson_rows(rows, rows)[0] == pytest.approx(1.0) and np.isnan(pearson_rows(rows, rows)[1])
    assert resampled_rows(pearson_rows, [1, 1, 1], [1, 2, 3]) is None


def test_six_policies_prove_nothing() -> None:
    """Why a ranking wants 20 of them: with 6, a correlation of 0.8 may be none at all."""
    x = np.arange(6.0)
    y = np.array([0.0, 2, 1, 5, 3, 3.5])
    interval = resampled_rows(pearson_rows, x, y, resamples=2000)
    assert interval is not None and interval.low < 0.35


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
        (interval,) = bootstrap.of(np.divide, values * weights, weights)
        hits += interval.low <= 2.0 <= interval.high
    return hits / repetitions


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    assert 0.90 <= coverage(24, 2, 150, 1000) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize(("clusters", "per_cluster"), [(24, 4), (64, 4), (256, 1)])
def test_intervals_hold_the_truth_in_93_to_97_of_100(clusters: int, per_cluster: int) -> None:
    """pytest -m slow tests/physics/test_bootstrap.py"""
    assert 0.93 <= coverage(clusters, per_cluster, 1000, 10_000) <= 0.97
