"""Pixels-v0: any Gymnasium id as frames; a seed fixes the video, and drawing changes nothing else."""

from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium.error import DependencyNotInstalled

from worldmodel.envs.pixels import make_pixel_env
from worldmodel.envs.scenes.scene import STATE
from worldmodel.errors import EnvError


class Drawing(gym.Env[np.ndarray, int]):
    """Draws a picture of 6 x 4 pixels; breaks in the way that is asked for."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012
    observation_space = gym.spaces.Box(0, 1, (1,))
    action_space = gym.spaces.Discrete(2)

    def __init__(self, render_mode: str | None = None, fault: str = "") -> None:
        self.render_mode, self.fault = render_mode, fault

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        return self.np_random.random(1).astype(np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        return np.zeros(1, np.float32), float(action), False, False, {}

    def render(self) -> Any:
        if self.fault == "dependency":
            raise DependencyNotInstalled("pygame is not installed, run `pip install pygame`")
        picture = np.zeros((4, 6, 3), np.uint8)
        picture[:2, :3] = 200
        return picture.astype(np.float32) if self.fault == "float" else picture


class Blind(Drawing):
    """Cannot draw."""

    metadata = {"render_modes": []}  # noqa: RUF012


gym.register("Drawing-v0", Drawing, max_episode_steps=7)
gym.register("Blind-v0", Blind)


def video(env: gym.Env, seed: int, steps: int = 12) -> np.ndarray:
    env.action_space.seed(1)
    return np.array(
        [env.reset(seed=seed)[0]] + [env.step(env.action_space.sample())[0] for _ in range(steps)]
    )


@pytest.mark.parametrize(
    ("env_id", "size"),
    [("worldmodel/Push-v0", 32), ("HalfCheetah-v5", 32), ("Pusher-v5", 16), ("CartPole-v1", 48)],
)
def test_a_seed_fixes_the_video_whatever_was_played_before(env_id: str, size: int) -> None:
    if env_id == "CartPole-v1":
        pytest.importorskip("pygame")
    env, used = (gym.make("worldmodel/Pixels-v0", env_id=env_id, size=size) for _ in range(2))
    video(used, seed=9)
    np.testing.assert_array_equal(video(env, seed=2), video(used, seed=2))
    frames = video(env, seed=3)
    assert frames.shape == (13, size, size, 3) and frames.dtype == np.uint8
    assert env.observation_space.contains(frames[0])
    assert (frames != video(env, seed=2)).any() and (frames[0] != frames[-1]).any()
    env.close(), used.close()


def test_our_scenes_are_drawn_at_the_asked_size_and_keep_their_info() -> None:
    pixels = make_pixel_env("worldmodel/Push-v0", size=24, env_kwargs={"supersample": 3})
    scene = gym.make("worldmodel/Push-v0", size=24, supersample=3)
    frame, info = pixels.reset(seed=4, options={"goal": (0.3, 0.3)})
    expected, truth = scene.reset(seed=4, options={"goal": (0.3, 0.3)})
    np.testing.assert_array_equal(frame, expected)
    assert info.keys() == truth.keys()
    assert pixels.max_episode_steps == 100 and pixels.metadata["render_fps"] == 10
    with pytest.raises(EnvError, match="must not set 'size'"):
        make_pixel_env("worldmodel/Push-v0", env_kwargs={"size": 8})


def test_action_repeat_adds_rewards_and_stops_at_the_end() -> None:
    single, double = (
        make_pixel_env("Drawing-v0", size=4),
        make_pixel_env("Drawing-v0", size=4, action_repeat=2),
    )
    assert (single.max_episode_steps, double.max_episode_steps) == (7, 4)
    assert (single.metadata["render_fps"], double.metadata["render_fps"]) == (30, 15)
    double.reset(seed=0)
    steps = [double.step(1) for _ in range(4)]
    assert [s[1] for s in steps] == [2, 2, 2, 1]
    assert [s[3] for s in steps] == [False, False, False, True]


def test_without_a_time_limit_max_episode_steps_is_none() -> None:
    assert make_pixel_env("Drawing-v0", env_kwargs={"max_episode_steps": -1}).max_episode_steps is None


def test_native_frames_are_area_averages() -> None:
    frame, _ = make_pixel_env("Drawing-v0", size=2).reset(seed=0)
    np.testing.assert_array_equal(frame[..., 0], [[200, 0], [0, 0]])
    frame, _ = make_pixel_env("Drawing-v0", size=1).reset(seed=0)
    np.testing.assert_array_equal(frame, np.full((1, 1, 3), 50))


def test_unseeded_resets_stay_random_although_the_first_picture_was_seeded() -> None:
    draws = [make_pixel_env("Drawing-v0").env.reset()[0][0] for _ in range(3)]
    assert len(set(draws)) == 3


def test_mujoco_envs_get_the_state_that_is_drawn_and_are_not_disturbed() -> None:
    """Forward kinematics on the env's own data would change what later steps read from it."""
    pixels, plain = make_pixel_env("HalfCheetah-v5", size=16), gym.make("HalfCheetah-v5")
    pixels.reset(seed=0), plain.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(20):
        action = rng.uniform(-1, 1, 6).astype(np.float32)
        _, reward, _, _, info = pixels.step(action)
        _, expected, *_ = plain.step(action)
        assert reward == expected
        np.testing.assert_array_equal(info["qpos"], plain.unwrapped.data.qpos)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(info["qvel"], plain.unwrapped.data.qvel)  # type: ignore[attr-defined]
    model = plain.unwrapped.model  # type: ignore[attr-defined]
    assert info["state"].shape == (mujoco.mj_stateSize(model, STATE),)
    assert pixels.max_episode_steps == 1000


def test_the_camera_follows_a_robot_that_runs() -> None:
    env = make_pixel_env("HalfCheetah-v5", size=32)
    env.reset(seed=0)
    env.unwrapped.data.qpos[0] = 30.0  # type: ignore[attr-defined]
    frame, *_ = env.step(np.zeros(6, np.float32))
    robot = (frame[..., 0].astype(int) - frame[..., 2] > 40).sum()  # nothing else is orange
    assert robot > 15


def test_render_mode() -> None:
    env = gym.make("worldmodel/Pixels-v0", env_id="Drawing-v0", size=4, render_mode="rgb_array")
    frame, _ = env.reset(seed=0)
    np.testing.assert_array_equal(env.render(), frame)  # type: ignore[arg-type]
    assert make_pixel_env("Drawing-v0", size=4).render() is None


@pytest.mark.filterwarnings("ignore:.*should return a numpy array with dtype uint8")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"env_id": "Blind-v0"}, "Blind-v0 cannot draw itself: its render_modes have no 'rgb_array'"),
        ({"env_id": "Drawing-v0", "renderer": "raycast"}, "no MuJoCo model for renderer='raycast'"),
        ({"env_id": "Drawing-v0", "env_kwargs": {"fault": "dependency"}}, "pygame is not installed"),
        ({"env_id": "Drawing-v0", "env_kwargs": {"fault": "float"}}, "must render uint8.*float32"),
        ({"env_id": "Drawing-v0", "renderer": "vulkan"}, "renderer must be one of auto, raycast, gl, native"),
        ({"env_id": "Drawing-v0", "size": 0}, "must be at least 1"),
        ({"env_id": "Drawing-v0", "render_mode": "human"}, "render_mode must be"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_sentence(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(EnvError, match=message):
        make_pixel_env(**arguments)


@pytest.mark.parametrize("env_id", ["HalfCheetah-v5", "Reacher-v5"])
def test_a_mujoco_state_is_restored_to_the_last_bit(env_id: str) -> None:
    """Contacts too: the solver's warm start is part of the state."""
    env = make_pixel_env(env_id, size=8)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(25)]
    env.reset(seed=3)
    seen = [env.step(action) for action in actions]
    start = seen[9]
    env.reset(seed=4)
    frame, info = env.set_state(start[4]["state"])
    np.testing.assert_array_equal(frame, start[0])
    np.testing.assert_array_equal(info["state"], start[4]["state"])
    for action, (frame, reward, *_, info) in zip(actions[10:], seen[10:], strict=True):
        again = env.step(action)
        np.testing.assert_array_equal(again[0], frame)
        np.testing.assert_array_equal(again[4]["state"], info["state"])
        assert again[1] == reward
    with pytest.raises(EnvError, match="a state of this model has shape"):
        env.set_state(np.zeros(3))
    assert not hasattr(make_pixel_env("Drawing-v0", size=4), "set_state")


@pytest.mark.parametrize("env_id", ["HalfCheetah-v5", "Ant-v5", "InvertedPendulum-v5"])
def test_a_mujoco_env_tells_where_its_bodies_are_seen(env_id: str) -> None:
    env = gym.make("worldmodel/Pixels-v0", env_id=env_id, size=32)
    _, first = env.reset(seed=1)
    names, masks = env.get_wrapper_attr("objects"), env.get_wrapper_attr("masks")
    model = env.unwrapped.model  # type: ignore[attr-defined]
    at_first = masks()
    assert at_first.shape == (len(names), 32, 32) and at_first.sum(0).max() <= 1 + 1e-6
    assert at_first.sum((1, 2)) == pytest.approx(first["visible_area"], abs=1e-3)
    assert (first["visible_area"] <= first["unoccluded_area"] + 1e-3).all() and first["present"].all()
    assert names == tuple(model.body(i).name or f"body{i}" for i in range(1, model.nbody))
    for _ in range(5):  # a single step may be too short to be seen
        env.step(env.action_space.high)  # type: ignore[attr-defined]
    assert not np.array_equal(masks(), at_first)
    env.get_wrapper_attr("set_state")(first["state"])
    assert np.array_equal(masks(), at_first)
    env.close()
