"""The shared statistics, in closed form."""

import numpy as np
import pytest

from worldmodel.evaluation.statistics import (
    cluster_bootstrap,
    correlation,
    rank_correlation,
    ranks,
    separation,
)


def test_ties_share_their_mean_rank() -> None:
    assert ranks([10, 30, 20, 20]).tolist() == [1.0, 4.0, 2.5, 2.5]


def test_rank_correlation_follows_any_rising_map_and_plain_correlation_does_not() -> None:
    x = np.linspace(0, 5, 20)
    assert rank_correlation(x, np.exp(x)) == pytest.approx(1.0)
    assert rank_correlation(x, -np.exp(x)) == pytest.approx(-1.0)
    assert correlation(x, np.exp(x)) < 0.9  # type: ignore[operator]


def test_a_constant_has_no_correlation() -> None:
    assert correlation([1, 1, 1, 1], [1, 2, 3, 4]) is None
    assert rank_correlation([1, 2, 3, 4], [2, 2, 2, 2]) is None


def test_separation_is_the_share_of_pairs_in_the_right_order() -> None:
    ends = np.array([False, False, True, True])
    assert separation([0.1, 0.2, 0.3, 0.4], ends) == 1.0
    assert separation([0.4, 0.3, 0.2, 0.1], ends) == 0.0
    assert separation([0.5, 0.5, 0.5, 0.5], ends) == 0.5
    assert separation([0.1, 0.2], np.array([False, False])) is None


def test_invalid_cells_do_not_count() -> None:
    values = np.array([[1.0, 5.0], [3.0, 999.0]])
    valid = np.array([[True, True], [True, False]])
    first, second = cluster_bootstrap(values, valid, np.array([0, 1]), seed=0)
    assert (first.mean, first.low, first.high) == (2.0, 1.0, 3.0)
    assert (second.mean, second.low, second.high) == (5.0, 5.0, 5.0)


def test_copies_of_one_cluster_do_not_narrow_its_interval() -> None:
    """Moments of one episode are not independent: drawing rows instead of episodes would be too sure."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20, 1))
    clusters = np.arange(20)
    once = cluster_bootstrap(values, np.ones_like(values, bool), clusters, seed=1)[0]
    many = cluster_bootstrap(values.repeat(10, axis=0), np.ones((200, 1), bool), clusters.repeat(10), seed=1)[
        0
    ]
    assert (many.low, many.high) == pytest.approx((once.low, once.high))


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for trial in range(200):
        values = rng.normal(size=(40, 1))
        interval = cluster_bootstrap(values, np.ones_like(values, bool), np.arange(40), seed=trial)[0]
        covered += interval.low <= 0 <= interval.high
    assert 0.88 <= covered / 200 <= 0.99
