"""Interquartile means of several runs: what is drawn, and how wide the interval is for it."""

import numpy as np
import pytest

from worldmodel.agents.run_statistics import nested_iqm, stratified_iqm


def test_the_middle_half_of_all_values() -> None:
    runs = [np.array([0.0, 1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0, 100.0])]
    for statistic in (stratified_iqm, nested_iqm):
        interval = statistic(runs, seed=0)
        assert interval.mean == np.mean([2.0, 3.0, 4.0, 5.0])
        assert interval.low <= interval.mean <= interval.high
        assert interval == statistic(runs, seed=0)


def test_only_drawing_runs_sees_that_runs_differ() -> None:
    runs = [np.full(50, value) for value in (0.0, 1.0, 2.0)]
    within, over = stratified_iqm(runs, seed=0), nested_iqm(runs, seed=0)
    assert (within.low, within.high) == (1.0, 1.0)
    assert over.low < 0.2 and over.high > 1.8


def test_equal_runs_have_the_interval_of_one_sample() -> None:
    """For a normal distribution the interquartile mean's standard error is 1.09 times that of the mean, about."""
    values = np.random.default_rng(0).normal(size=(4, 500))
    interval = stratified_iqm(list(values), seed=1)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 1.09 / np.sqrt(2000), rel=0.15)


def test_strata_may_differ_in_size() -> None:
    assert stratified_iqm([np.zeros(2), np.ones(6)], seed=0).mean == 1.0
