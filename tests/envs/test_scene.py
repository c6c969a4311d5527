"""MujocoScene, tried on Push: states restored in the middle of a push, clear refusals, what is observed."""

from typing import Any

import numpy as np
import pytest
from scene_rollouts import assert_same, rollout

from worldmodel.envs.scenes.push import PushEnv
from worldmodel.errors import WorldModelError

SIZE = 16


def actions(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (n, 2))


def test_a_restored_state_goes_on_bit_for_bit() -> None:
    """Through contacts: the state is taken while the agent pushes the puck."""
    env, other = PushEnv(size=SIZE), PushEnv(size=SIZE)
    start = {"agent": (0.0, 0.0), "puck": (0.4, 0.02), "goal": (-0.8, -0.8)}
    env.reset(seed=1, options=start)
    in_contact = (
        info for *_, info in map(env.step, np.tile([1.0, 0.1], (20, 1))) if info["contacts"][0, 3] > 0
    )
    state = next(in_contact)["state"]
    here = env.step(np.array([1.0, 0.0]))
    other.reset(seed=5, options=start)
    rollout(other, actions(3))
    other.set_state(state)
    np.testing.assert_array_equal(other.get_state(), state)
    there = other.step(np.array([1.0, 0.0]))
    assert_same([(*here[:3], here[-1])], [(*there[:3], there[-1])])
    assert_same(rollout(env, actions(40)), rollout(other, actions(40)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gravity": 1.0}, "unknown reset option 'gravity'; valid options are: agent, puck, goal"),
        ({"puck_mass": 50.0}, r"'puck_mass' must be a number from 0.1 to 5 \[kg\], got 50.0"),
        ({"puck_mass": float("nan")}, "'puck_mass' must be a number"),
        ({"puck_mass": "heavy"}, "'puck_mass' must be a number"),
        ({"goal": 0.5}, "'goal' must be 2 numbers from -1 to 1"),
        ({"agent": (0.95, 0.0)}, r"'agent' must be from \(-0.85, -0.85\) to \(0.85, 0.85\) m"),
        ({"agent": (0.0, 0.0), "puck": (0.1, 0.0)}, "at least 0.35 m apart"),
    ],
)
def test_bad_options_are_refused_and_change_nothing(options: dict[str, Any], message: str) -> None:
    env = PushEnv(size=SIZE)
    env.reset(seed=0)
    before = env.get_state()
    with pytest.raises(WorldModelError, match=message):
        env.reset(options=options)
    np.testing.assert_array_equal(env.get_state(), before)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.zeros(3), r"shape \(2,\), got \(3,\)"),
        (0.0, r"shape \(2,\), got \(\)"),
        (np.array([0.0, np.nan]), "must not be NaN"),
        ("left", "must be"),
    ],
)
def test_bad_actions_are_refused(action: Any, message: str) -> None:
    env = PushEnv(size=SIZE)
    env.reset(seed=0)
    for kind in (WorldModelError, ValueError):
        with pytest.raises(kind, match=message):
            env.step(action)


def test_actions_out_of_bounds_are_clipped() -> None:
    left, right = PushEnv(size=SIZE), PushEnv(size=SIZE)
    left.reset(seed=0), right.reset(seed=0)
    assert_same(rollout(left, np.array([[9.0, -np.inf]])), rollout(right, np.array([[1.0, -1.0]])))


@pytest.mark.parametrize("bad", [{"obs_type": "pixels"}, {"renderer": "vulkan"}, {"render_mode": "human"}])
def test_bad_constructor_choices_list_the_good_ones(bad: dict[str, str]) -> None:
    with pytest.raises(WorldModelError, match="must be one of"):
        PushEnv(**bad)
    with pytest.raises(WorldModelError, match="at least 1"):
        PushEnv(size=0)


def test_a_state_of_another_shape_is_refused() -> None:
    env = PushEnv(size=SIZE)
    env.reset(seed=0)
    with pytest.raises(WorldModelError, match=r"shape \(37,\), got \(3,\)"):
        env.set_state(np.zeros(3))


def test_state_observations_are_qpos_qvel_and_goal() -> None:
    env = PushEnv(size=SIZE, obs_type="state")
    observation, info = env.reset(seed=0, options={"goal": (0.1, -0.3)})
    np.testing.assert_array_equal(observation, [*info["qpos"], *info["qvel"], 0.1, -0.3])
    assert env.observation_space.contains(observation)


def test_render_is_the_observed_frame() -> None:
    env = PushEnv(size=SIZE, render_mode="rgb_array")
    observation, _ = env.reset(seed=0)
    frame = env.render()
    assert frame is not None and frame is not observation
    np.testing.assert_array_equal(frame, observation)
    assert PushEnv(size=SIZE).render() is None
