"""Bounce-v0: elastic impacts keep energy, hits are counted, a lost ball ends it, and it can be played."""

import numpy as np
import pytest

from worldmodel.envs.scenes.bounce import HALF, PADDLE, BounceEnv
from worldmodel.errors import WorldModelError

RADIUS = 0.13
STILL = np.zeros(1)


def free(info: dict[str, np.ndarray]) -> bool:
    """Nothing touches: no energy is stored in contacts."""
    return bool((info["contacts"][:, 0] < 0).all())


def test_energy_stays_the_same_over_ten_seconds_of_bounces() -> None:
    """Straight above the paddle; gravity and impacts only."""
    env = BounceEnv(size=8)
    options = {"balls": 3, "paddle": 0.0, "paddle_width": 0.4} | {
        f"ball_{i}": (x, h) for i, x, h in ((1, -0.27, 1.2), (2, 0.0, 1.5), (3, 0.27, 1.7))
    }
    _, info = env.reset(options=options | {f"ball_{i}_velocity": (0.0, 0.0) for i in (1, 2, 3)})
    start, hits, energies = info["energy"].sum(), 0.0, []
    for _ in range(200):
        _, reward, terminated, _, info = env.step(STILL)
        hits += reward
        assert not terminated
        if free(info):
            energies.append(info["energy"].sum())
    assert hits >= 12
    np.testing.assert_allclose(energies, start, rtol=0.01)


def test_impacts_between_balls_and_with_walls_keep_energy_and_momentum() -> None:
    env = BounceEnv(size=8)
    options = {"balls": 2, "gravity": 0.0, "ball_1": (-0.4, 1.0), "ball_2": (0.4, 1.1)}
    options |= {"ball_1_velocity": (1.5, 0.0), "ball_2_velocity": (-0.5, 0.0)}
    _, info = env.reset(options=options)
    for _ in range(12):
        *_, info = env.step(STILL)
    velocities = info["qvel"][1:5].reshape(2, 2)
    assert (np.abs(velocities[:, 1]) > 0.1).all(), "they have not met"
    np.testing.assert_allclose(velocities.sum(axis=0), [1.0, 0.0], atol=1e-9)
    assert (velocities**2).sum() == pytest.approx(1.5**2 + 0.5**2, rel=0.01)
    for _ in range(60):
        *_, info = env.step(STILL)
    if free(info):
        assert (info["qvel"][1:5] ** 2).sum() == pytest.approx(2.5, rel=0.03)


@pytest.mark.parametrize("restitution", [1.0, 0.9, 0.6, 0.3])
def test_restitution_is_the_share_of_speed_given_back(restitution: float) -> None:
    env = BounceEnv(size=8)
    options = {"gravity": 0.0, "restitution": restitution, "ball_1": (0.0, 1.0)}
    env.reset(options=options | {"ball_1_velocity": (2.0, 0.0)})
    for _ in range(16):
        *_, info = env.step(STILL)
    assert info["qvel"][1] == pytest.approx(-2.0 * restitution, abs=0.06)


def test_every_hit_counts_once_and_other_turns_do_not() -> None:
    env = BounceEnv(size=8)
    env.reset(options={"paddle": 0.0, "ball_1": (0.0, 0.8), "ball_1_velocity": (0.0, 0.0)})
    turns, rewards, before = 0, [], 0.0
    for _ in range(150):
        _, reward, _, _, info = env.step(STILL)
        turns += before < 0 < info["qvel"][2]
        before = info["qvel"][2]
        rewards.append(reward)
    assert turns == sum(rewards) >= 4 and set(rewards) == {0.0, 1.0}
    options = {"gravity": 0.0, "ball_1": (-0.5, 1.2), "ball_2": (-0.5, 1.7), "balls": 2, "paddle": 0.5}
    env.reset(options=options | {"ball_1_velocity": (0.0, -0.1), "ball_2_velocity": (0.0, -2.0)})
    assert sum(env.step(STILL)[1] for _ in range(10)) == 0


def test_a_lost_ball_ends_the_episode() -> None:
    env = BounceEnv(size=8)
    env.reset(options={"paddle": 0.7, "ball_1": (-0.5, 1.0), "ball_1_velocity": (0.0, 0.0)})
    seconds = np.sqrt(2 * 1.1 / 3.0)  # for the fall to 0.1 m below zero
    steps = [env.step(STILL) for _ in range(int(np.ceil(seconds / 0.05)))]
    assert [step[2] for step in steps] == [False] * (len(steps) - 1) + [True]
    assert not any(step[1] for step in steps)


def test_the_paddle_moves_as_told_within_its_walls() -> None:
    env = BounceEnv(size=8)
    env.reset(options={"paddle": 0.0, "gravity": 0.0})
    places = [env.step(np.ones(1))[-1]["qpos"][0] for _ in range(20)]
    assert places[3] - places[2] == pytest.approx(0.1, rel=0.01)
    assert places[-1] == pytest.approx(HALF - 0.3, abs=0.03)
    with pytest.raises(WorldModelError, match=r"'paddle' must be from -0.6 to 0.6 m"):
        env.reset(options={"paddle": 0.65, "paddle_width": 0.4})


def landing(info: dict[str, np.ndarray]) -> float:
    """Where ball 1 comes down, by the equations of free flight and mirrors at the walls."""
    (x, height), (speed, rising) = info["qpos"][1:3], info["qvel"][1:3]
    seconds = (rising + np.sqrt(rising**2 + 2 * 3.0 * max(height - PADDLE - RADIUS, 0.0))) / 3.0
    reach = HALF - RADIUS
    unfolded = (x + speed * seconds + reach) % (4 * reach)
    return min(unfolded, 4 * reach - unfolded) - reach


@pytest.mark.parametrize("action_type", ["continuous", "discrete"])
def test_who_computes_where_it_lands_keeps_it_up(action_type: str) -> None:
    env = BounceEnv(size=8, action_type=action_type)
    _, info = env.reset(seed=0)
    hits = 0.0
    for _ in range(300):
        gap = landing(info) - info["qpos"][0]
        discrete = 0 if abs(gap) < 0.1 else 1 if gap > 0 else 2
        _, reward, terminated, _, info = env.step(
            np.array([5 * gap]) if action_type == "continuous" else discrete
        )
        hits += reward
        assert not terminated
    assert hits >= 6
