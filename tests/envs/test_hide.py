"""Hide-v0: balls vanish in the tunnel and come out as physics says; what is hidden is known."""

import numpy as np
import pytest

from worldmodel.envs.scenes.hide import MAX_FORCE, HideEnv

STILL = np.zeros(2)
ONE = {"balls": 1, "goal": (0.7, 0.5), "friction": 0.0}


def crossing(env: HideEnv, action: np.ndarray = STILL, steps: int = 16) -> list[dict[str, np.ndarray]]:
    """From the left at 0.8 m/s through the tunnel."""
    _, info = env.reset(options=ONE | {"ball_1": (-0.7, -0.1), "ball_1_velocity": (0.8, 0.2)})
    return [info] + [env.step(action)[-1] for _ in range(steps)]


def test_a_ball_vanishes_and_comes_out_where_it_should_be_by_then() -> None:
    env = HideEnv(size=64)
    infos = crossing(env)
    x = np.array([info["object_positions"][0, 0] for info in infos])
    share = np.array([info["visible_area"][0] / info["unoccluded_area"][0] for info in infos])
    np.testing.assert_allclose(x, -0.7 + 0.08 * np.arange(17), atol=1e-9)
    assert (share[np.abs(x) < 0.18] == 0).all() and (np.abs(x) < 0.18).sum() >= 4
    assert (share[np.abs(x) > 0.52] == 1).all() and (x > 0.52).any()
    assert ((share > 0) & (share < 1)).any()
    assert all(info["present"][0] for info in infos)


def test_areas_agree_with_masks_and_with_a_scene_without_a_tunnel() -> None:
    env, open_ = HideEnv(size=64), HideEnv(size=64)
    for x in (-0.6, -0.4, -0.3, 0.0, 0.35):
        options = ONE | {"ball_1": (x, 0.2), "ball_1_velocity": (0.0, 0.0)}
        _, info = env.reset(options=options)
        _, bare = open_.reset(options=options | {"tunnel": 0.0})
        assert env.masks()[0].sum() == pytest.approx(info["visible_area"][0], rel=1e-5)
        assert info["unoccluded_area"][0] == bare["unoccluded_area"][0] == bare["visible_area"][0] > 20
        assert info["visible_area"][0] <= bare["visible_area"][0]


def test_the_agent_nudges_it_in_sight_but_not_in_the_tunnel() -> None:
    nudged = crossing(HideEnv(size=8), np.array([0.0, 0.2]), steps=12)
    speeds = np.diff([info["qvel"][1] for info in nudged])
    hidden = np.abs([info["qpos"][0] for info in nudged[:-1]]) < 0.35
    np.testing.assert_allclose(speeds[hidden], 0.0, atol=1e-9)
    rolling = 0.3 * 1.4  # a ball that rolls has 7/5 of its inertia
    np.testing.assert_allclose(speeds[~hidden], 0.2 * MAX_FORCE / rolling * 0.1, rtol=1e-6)
    assert hidden.any() and not hidden.all()


def test_balls_start_in_sight_and_cross_the_tunnel_soon() -> None:
    env = HideEnv(size=32)
    crossed, seeds = 0, 20
    for seed in range(seeds):
        _, info = env.reset(seed=seed)
        assert (info["visible_area"][:2] > 0.7 * info["unoccluded_area"][:2]).all()
        side = np.sign(info["qpos"][[0, 2]])
        assert (side != np.sign(env.data.mocap_pos[0, 0]))[0], "the goal is beyond the tunnel"
        hidden = np.zeros(2, bool)
        for _ in range(25):
            *_, info = env.step(STILL)
            hidden |= info["visible_area"][:2] == 0
        crossed += hidden.sum()
    assert crossed >= 0.85 * 2 * seeds


def test_reward_is_higher_the_nearer_the_goal_and_on_it() -> None:
    env = HideEnv(size=8)
    for x, reward in ((-0.3, -1.0), (0.4, -0.3), (0.55, -0.15 + 1)):
        env.reset(options=ONE | {"ball_1": (x, 0.5), "ball_1_velocity": (0.0, 0.0)})
        _, got, terminated, _, _ = env.step(STILL)
        assert got == pytest.approx(reward) and not terminated


def test_the_goal_is_part_of_the_state() -> None:
    env = HideEnv(size=32, obs_type="state")
    observation, info = env.reset(seed=0)
    other, _ = env.reset(seed=1)
    assert (observation[-2:] != other[-2:]).any()
    np.testing.assert_array_equal(env.set_state(info["state"])[0], observation)


def test_a_player_brings_the_ball_through_the_tunnel_to_the_goal() -> None:
    env = HideEnv(size=8)
    returns = []
    for seed in range(5):
        _, info = env.reset(seed=seed)
        total = 0.0
        for _ in range(100):
            gap = env.data.mocap_pos[0, :2] - info["qpos"][:2]
            _, reward, _, _, info = env.step(3 * gap - 2 * info["qvel"][:2])
            total += reward
        returns.append(total)
    assert min(returns) > 0
