"""Exploration: valid actions for every space, reproducible, correlated, and reaching the corners."""

import itertools
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from worldmodel.agents.exploration import HeldActions, OrnsteinUhlenbeck, RandomActions
from worldmodel.policy import Policy
from worldmodel.spaces import ActionCodec

POLICIES = [HeldActions, OrnsteinUhlenbeck, RandomActions]
SPACES = [
    spaces.Box(-1.0, 1.0, (2,), np.float32),
    spaces.Box(np.array([0.0, -np.inf]), np.array([3.0, np.inf]), dtype=np.float64),
    spaces.Box(0, 9, (2,), np.int32),
    spaces.Discrete(4, start=1),
    spaces.MultiDiscrete([2, 3]),
    spaces.MultiBinary(3),
    spaces.Dict(move=spaces.Box(-1.0, 1.0, (1,), np.float32), fire=spaces.Discrete(2)),
    spaces.Tuple([spaces.Discrete(3), spaces.Box(-1.0, 1.0, (2,), np.float32)]),
]
UNIT = SPACES[0]
PICTURE = np.zeros((4, 4, 3), np.uint8)


def play(policy: Policy, steps: int) -> list[Any]:
    policy.reset()
    return [policy.act(PICTURE) for _ in range(steps)]


def make(kind: type, space: gym.Space, seed: int = 0, **options: Any) -> Policy:
    return kind(space, np.random.default_rng(seed), **options)


@pytest.mark.parametrize("kind", POLICIES)
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_actions_are_valid_and_follow_the_generator(kind: type, space: gym.Space) -> None:
    codec = ActionCodec(space)
    first, again, other = ([codec.store(a) for a in play(make(kind, space, s), 60)] for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("kind", POLICIES)
def test_the_callers_space_is_untouched(kind: type) -> None:
    spaces_ = [spaces.Box(-1.0, 1.0, (2,), np.float32, seed=3) for _ in range(2)]
    play(make(kind, spaces_[0]), 10)
    np.testing.assert_array_equal(spaces_[0].sample(), spaces_[1].sample())


def runs(actions: list[Any]) -> list[int]:
    """Lengths of runs of equal actions."""
    changes = [i for i in range(1, len(actions)) if not np.array_equal(actions[i], actions[i - 1])]
    edges = [0, *changes, len(actions)]
    return [after - before for before, after in itertools.pairwise(edges)]


def test_held_actions_are_held() -> None:
    lengths = runs(play(make(HeldActions, UNIT, max_hold=5, bounds=0.0, zero=0.0), 2000))
    assert set(lengths[:-1]) == {1, 2, 3, 4, 5}


def test_held_actions_reach_bounds_and_zero() -> None:
    actions = np.array(play(make(HeldActions, UNIT, max_hold=1, bounds=0.4, zero=0.2), 5000))
    assert np.mean((np.abs(actions) == 1.0).all(1)) == pytest.approx(0.4, abs=0.03)
    assert np.mean((actions == 0.0).all(1)) == pytest.approx(0.2, abs=0.03)
    corners = {tuple(action) for action in actions if (np.abs(action) == 1.0).all()}
    assert corners == {(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)}


def test_held_bounds_skip_infinite_dimensions() -> None:
    actions = np.array(play(make(HeldActions, SPACES[1], max_hold=1, bounds=1.0, zero=0.0), 50))
    assert np.isfinite(actions).all()
    assert set(actions[:, 0]) == {0.0, 3.0}


def test_ornstein_uhlenbeck_is_correlated_as_asked() -> None:
    policy = make(
        OrnsteinUhlenbeck, spaces.Box(-np.inf, np.inf, (1,), np.float64), correlation_steps=8.0, std=0.5
    )
    x = np.array(play(policy, 40_000))[:, 0]
    assert x.std() == pytest.approx(0.5, rel=0.05)
    assert np.corrcoef(x[:-8], x[8:])[0, 1] == pytest.approx(np.exp(-1), abs=0.05)


def test_ornstein_uhlenbeck_discrete_choices_linger_and_cover() -> None:
    actions = play(make(OrnsteinUhlenbeck, spaces.Discrete(4, start=1)), 2000)
    assert set(actions) == {1, 2, 3, 4}
    assert np.mean(runs(actions)) > 2 * np.mean(runs(play(make(RandomActions, spaces.Discrete(4)), 2000)))
