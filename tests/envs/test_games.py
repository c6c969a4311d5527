"""Atari and Doom: the protocol, frame by frame, against the games themselves. Skipped without the extras."""

import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from worldmodel.envs.atari import AtariEnv
from worldmodel.envs.doom import DoomEnv
from worldmodel.envs.drawing.shrink import shrink
from worldmodel.envs.pixels import make_pixel_env
from worldmodel.errors import EnvError
from worldmodel.real_env import EnvConfig


@pytest.fixture
def atari() -> None:
    pytest.importorskip("ale_py")


@pytest.fixture
def doom() -> None:
    pytest.importorskip("vizdoom")


def video(env: gym.Env, seed: int, steps: int = 25) -> np.ndarray:
    env.action_space.seed(seed)
    frames = [env.reset(seed=seed)[0]]
    for _ in range(steps):
        frame, _, terminated, truncated, _ = env.step(env.action_space.sample())
        frames.append(frame)
        if terminated or truncated:
            break
    return np.array(frames)


@pytest.mark.parametrize("missing", ["ale_py", "vizdoom"])
def test_a_missing_package_is_one_sentence(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "vizdoom.gymnasium_wrapper", raising=False)
    env_id, extra = {"ale_py": ("ALE/Pong-v5", "atari"), "vizdoom": ("VizdoomBasic-v1", "doom")}[missing]
    with pytest.raises(EnvError, match=rf"{env_id} needs the package .* pip install 'worldmodel\[{extra}\]'"):
        EnvConfig(env_id).make()


@pytest.mark.usefixtures("atari")
def test_an_atari_game_comes_back_to_a_state_chance_included() -> None:
    env = AtariEnv("Breakout", size=32, sticky=0.5)
    env.reset(seed=3)
    env.step(1)
    state, other = env.get_state(), AtariEnv("Breakout", size=32, sticky=0.5)
    first = [env.step(action) for action in (2, 3, 1, 2, 2, 3) * 4]
    other.reset(seed=9)
    frame, info = other.set_state(state)
    assert info["frame_number"] < first[0][4]["frame_number"] and (frame == env.set_state(state)[0]).all()
    for again in (env, other):
        for (one, *rest), action in zip(first, (2, 3, 1, 2, 2, 3) * 4, strict=True):
            seen, *told = again.step(action)
            np.testing.assert_array_equal(one, seen)
            assert rest[:3] == told[:3]
    with pytest.raises(EnvError, match="no state of this game"):
        env.set_state(np.zeros(5, np.uint8))


@pytest.mark.usefixtures("atari")
@pytest.mark.parametrize("game", ["Breakout", "Pong", "Freeway"])
def test_an_atari_seed_fixes_the_video(game: str) -> None:
    env, used = AtariEnv(game, size=32), AtariEnv(game, size=32)
    video(used, seed=9)
    first = video(env, seed=1)
    np.testing.assert_array_equal(first, video(used, seed=1))
    assert first.shape[1:] == (32, 32, 3) and first.dtype == np.uint8
    assert (first[0] != first[-1]).any() and first.std() > 5
    assert len({env.reset()[1]["frame_number"].item() for _ in range(8)}) > 2, "idle starts must differ"


@pytest.mark.usefixtures("atari")
def test_atari_steps_are_four_frames_with_the_brighter_of_the_last_two() -> None:
    env = AtariEnv("Pong", size=64, noop_max=0)
    _, info = env.reset(seed=0)
    plain = gym.make("ALE/Pong-v5", frameskip=1, repeat_action_probability=0.0).unwrapped
    plain.reset(seed=int(np.random.default_rng(0).integers(1)))  # Pong without idle frames starts the same
    assert info["frame_number"] == 0 and info["ram"].shape == (128,)
    for action in (0, 2, 3, 2):
        frame, reward, terminated, truncated, info = env.step(action)
        steps = [plain.step(action) for _ in range(4)]
        np.testing.assert_array_equal(frame, shrink(np.maximum(steps[2][0], steps[3][0]), 64))
        assert reward == sum(float(step[1]) for step in steps) and not terminated and not truncated
        assert info["frame_number"] == steps[3][4]["episode_frame_number"]


@pytest.mark.usefixtures("atari")
def test_life_loss_ends_an_episode_only_if_asked() -> None:
    def until_a_life_is_lost(env: AtariEnv) -> bool:
        env.reset(seed=0)
        for _ in range(400):
            _, _, terminated, _, info = env.step(1)  # fire, and never catch the ball
            if info["lives"] < 5:
                return terminated
        raise AssertionError("no life was lost")

    assert not until_a_life_is_lost(AtariEnv("Breakout", size=8))
    assert until_a_life_is_lost(AtariEnv("Breakout", size=8, life_loss_ends=True))
    env = AtariEnv("Breakout", size=8, life_loss_ends=True)
    until_a_life_is_lost(env)
    assert env.reset()[1]["lives"] == 5


@pytest.mark.usefixtures("atari")
def test_ale_ids_work_as_pixels_with_options_limit_and_infos() -> None:
    env = make_pixel_env("ALE/Breakout-v5", size=24, env_kwargs={"frame_skip": 2, "full_action_space": True})
    frame, info = env.reset(seed=0)
    assert frame.shape == (24, 24, 3) and env.action_space == gym.spaces.Discrete(18)
    assert env.max_episode_steps == 27_000 and env.metadata["render_fps"] == 30
    assert env.step(0)[4].keys() == info.keys() == {"lives", "ram", "frame_number"}
    with pytest.raises(EnvError, match="no MuJoCo model"):
        make_pixel_env("ALE/Breakout-v5", renderer="raycast")


@pytest.mark.usefixtures("doom")
def test_doom_ends_with_a_picture_and_knows_truncation_from_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ViZDoom itself gives a black screen at the end, and calls its time limit both; it litters the working folder."""
    monkeypatch.chdir(tmp_path)
    env: Any = make_pixel_env("VizdoomBasic-v1", size=32)
    _, first = env.reset(seed=0)
    assert first.keys() == {"position", "angle", "health", "game_variables"}
    step, truncated = 0, False
    while not truncated:
        frame, _, terminated, truncated, info = env.step(0)
        assert frame.std() > 5 and not terminated and info.keys() == first.keys()
        step += 1
    assert step == env.max_episode_steps == 75
    env.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("doom")
def test_a_doom_seed_fixes_the_video() -> None:
    env, used = DoomEnv("Basic", size=32), DoomEnv("Basic", size=32)
    video(used, seed=9)
    first = video(env, seed=1)
    np.testing.assert_array_equal(first, video(used, seed=1))
    assert len({video(env, seed=seed, steps=0).tobytes() for seed in range(4)}) > 1
    env.close(), used.close()
