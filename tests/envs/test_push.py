"""Push-v0: Gymnasium's checker, and its physics and reward in closed form."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from worldmodel.envs.scenes.push import MAX_FORCE, PushEnv

FAR = {"agent": (-0.8, -0.8), "puck": (0.6, 0.6)}


def push() -> PushEnv:
    return PushEnv(size=32)


def test_gymnasium_checker_has_nothing_to_say() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make("worldmodel/Push-v0").unwrapped)
        check_env(gym.make("worldmodel/Push-v0", render_mode="rgb_array").unwrapped)


def test_registered_time_limit_and_fps() -> None:
    env = gym.make("worldmodel/Push-v0", size=16)
    assert env.spec is not None and env.spec.max_episode_steps == 100
    assert env.metadata["render_fps"] == 10
    env.reset(seed=0, options=FAR)
    ends = [env.step(np.zeros(2))[2:4] for _ in range(100)]
    assert ends[-1] == (False, True) and not any(map(any, ends[:-1]))


def test_same_seed_same_video_and_other_seed_another() -> None:
    def video(seed: int) -> np.ndarray:
        env = push()
        frames = [env.reset(seed=seed)[0]]
        rng = np.random.default_rng(0)
        return np.array(frames + [env.step(rng.uniform(-1, 1, 2))[0] for _ in range(10)])

    np.testing.assert_array_equal(video(3), video(3))
    assert (video(3) != video(4)).any()


def test_starts_are_apart_on_the_table_off_the_goal_and_spread() -> None:
    env = push()
    env.reset(seed=0)
    starts = np.array([env.reset()[1]["qpos"] for _ in range(200)])
    agent, puck = starts[:, :2], starts[:, 2:]
    assert np.abs(agent).max() <= 0.85 and np.abs(puck).max() <= 0.6
    assert np.linalg.norm(agent - puck, axis=1).min() > 0.35
    assert np.linalg.norm(puck, axis=1).min() > 0.2
    spread = starts.max(axis=0) - starts.min(axis=0)
    assert (spread[:2] > 1.5).all() and (spread[2:] > 1.1).all()


@pytest.mark.parametrize(("mass", "friction"), [(0.5, 2.0), (1.5, 0.7)])
def test_the_agent_speeds_up_as_force_mass_and_drag_say(mass: float, friction: float) -> None:
    """v(t) = F/b (1 - exp(-b t / m))."""
    env = push()
    env.reset(options=FAR | {"agent_mass": mass, "agent_friction": friction})
    for step in range(1, 6):
        *_, info = env.step(np.array([1.0, 0.0]))
        expected = MAX_FORCE / friction * (1 - np.exp(-friction * 0.1 * step / mass))
        np.testing.assert_allclose(info["qvel"][0], expected, rtol=0.02)
        np.testing.assert_allclose(info["object_velocities"][0], [info["qvel"][0], 0, 0], atol=1e-12)
        np.testing.assert_allclose(info["energy"], [0, mass * info["qvel"][0] ** 2 / 2], rtol=1e-9)
        assert info["time"] == pytest.approx(0.1 * step)


def test_the_puck_slows_down_as_its_friction_says() -> None:
    env = push()
    _, info = env.reset(options=FAR | {"puck_velocity": (-0.5, 0.0), "puck_friction": 0.8})
    for _ in range(5):
        *_, info = env.step(np.zeros(2))
    np.testing.assert_allclose(info["qvel"][2], -0.5 * np.exp(-0.8 * 0.5 / 0.4), rtol=0.02)


@pytest.mark.parametrize("speed", [0.3, 0.6, 1.1, 2.0])
def test_bounces_lose_energy_but_no_momentum(speed: float) -> None:
    """With the time step at 0.01 s the pucks left a bounce faster than they had come."""
    env = push()
    options = {"agent": (-0.3, 0.0), "puck": (0.2, 0.0), "goal": (-0.8, -0.8), "agent_velocity": (speed, 0.0)}
    env.reset(options=options | {"agent_friction": 0.0, "puck_friction": 0.0})
    for _ in range(20):
        *_, info = env.step(np.zeros(2))
        if info["qvel"][2] > 0 and (info["contacts"][:, 0] < 0).all():
            break
    agent, puck = info["qvel"][[0, 2]]
    assert 0.2 < (puck - agent) / speed < 0.8
    assert 0.5 * agent + 0.4 * puck == pytest.approx(0.5 * speed, rel=1e-6)


def test_no_puck_is_seen_inside_another_or_a_wall() -> None:
    """Pushing at full force towards the puck all the time; a centimetre is a third of a pixel at 64 pixels."""
    env = push()
    deepest = 0.0
    for seed in range(10):
        _, info = env.reset(seed=seed)
        for _ in range(60):
            way = info["object_positions"][1, :2] - info["object_positions"][0, :2]
            *_, info = env.step(np.sign(way))
            deepest = min(deepest, info["contacts"][:, 2].min())
    assert -0.01 < deepest < 0


def test_contacts_name_the_pair_and_its_force() -> None:
    env = push()
    env.reset(options={"agent": (-0.2, 0.0), "puck": (0.16, 0.0), "goal": (-0.8, -0.8)})
    for _ in range(3):
        *_, info = env.step(np.array([1.0, 0.0]))
    pair = {env.model.geom(name).id for name in ("agent", "puck")}
    assert set(info["contacts"][0, :2]) == pair
    assert info["contacts"][0, 2] < 0 < info["contacts"][0, 3] < MAX_FORCE
    np.testing.assert_array_equal(info["contacts"][1:], np.tile([-1.0, -1.0, 0.0, 0.0], (7, 1)))


def test_reward_and_success() -> None:
    env = push()
    env.reset(options=FAR | {"goal": (0.6, 0.3)})
    _, reward, terminated, truncated, _ = env.step(np.zeros(2))
    gap = np.hypot(1.4, 1.4) - 0.35
    assert reward == pytest.approx(-0.3 - 0.3 * gap) and not terminated and not truncated
    env.reset(options=FAR | {"goal": (0.6, 0.45)})
    _, reward, terminated, _, _ = env.step(np.zeros(2))
    assert reward == pytest.approx(-0.15 - 0.3 * gap + 5) and terminated


def test_visible_areas_are_the_discs() -> None:
    """Projected from 5 m: a disc of radius r whose top is 0.12 m up; the frame is 2.2 m wide at that height."""
    env = PushEnv(size=128)
    _, info = env.reset(options={"agent": (0.0, 0.4), "puck": (0.0, -0.4), "goal": (0.8, 0.8)})
    discs = np.pi * (np.array([0.15, 0.2]) * 128 / 2.2) ** 2
    assert (info["visible_area"] > 0.98 * discs).all()
    assert (info["visible_area"] < 1.1 * discs).all()


def test_the_picture_shows_red_agent_blue_puck_green_goal() -> None:
    env = PushEnv(size=64)
    frame, _ = env.reset(options={"agent": (-0.5, 0.5), "puck": (0.5, 0.5)})
    for (x, y), channel in {(-0.5, 0.5): 0, (0.5, 0.5): 2, (0.0, 0.0): 1}.items():
        pixel = frame[int(32 - y * 29), int(32 + x * 29)].astype(int)
        assert pixel.argmax() == channel and pixel.max() > 1.5 * np.sort(pixel)[1]
    assert frame[48, 48].min() > 200  # the table is light
    assert frame[0].max() < 120  # the wall is dark
