"""The state without pictures: the same episodes, the same rewards, and nothing drawn."""

import gymnasium as gym
import numpy as np
import pytest

from worldmodel.envs.drawing.raycast import RayCaster
from worldmodel.envs.scenes.swing import SwingEnv
from worldmodel.envs.state_env import StateEnv
from worldmodel.errors import EnvError
from worldmodel.real_env import EnvConfig


@pytest.mark.parametrize("repeat", [1, 3])
@pytest.mark.parametrize(
    "name", ["worldmodel/Push-v0", "worldmodel/CartPole-v0", "worldmodel/Bounce-v0", "Reacher-v5"]
)
def test_the_same_seed_and_actions_earn_the_same(name: str, repeat: int) -> None:
    pixels = EnvConfig(name, size=8, action_repeat=repeat).make()
    state = gym.make("worldmodel/State-v0", env_id=name, action_repeat=repeat)
    pixels.action_space.seed(0)
    pixels.reset(seed=7)
    observation, info = state.reset(seed=7)
    assert state.observation_space.contains(observation) and info == {}
    assert state.get_wrapper_attr("max_episode_steps") == pixels.get_wrapper_attr("max_episode_steps")
    for _ in range(12):
        action = pixels.action_space.sample()
        _, *expected, _ = pixels.step(action)
        observation, *found, info = state.step(action)
        assert found == expected and info == {}
        if expected[1]:
            break


def test_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RayCaster, "draw", lambda self, data: pytest.fail("it was drawn"))
    env = gym.make("worldmodel/State-v0", env_id="worldmodel/Push-v0")
    env.reset(seed=0)
    env.step(env.action_space.sample())


def test_angles_of_many_turns_are_their_cosine_and_sine() -> None:
    env = gym.make("worldmodel/State-v0", env_id="worldmodel/Swing-v0")
    start = {"angle": 1.0, "velocity": 0.5}
    observation, _ = env.reset(seed=0, options=start)
    np.testing.assert_allclose(observation, [0.5, np.cos(1.0), np.sin(1.0)], rtol=1e-6)
    push, _ = gym.make("worldmodel/State-v0", env_id="worldmodel/Push-v0").reset(seed=0)
    assert push.shape == (10,), "two places, two velocities, the goal: nothing turns"


def test_a_scene_without_truth_is_drawn_when_somebody_looks() -> None:
    bare = SwingEnv(size=16, obs_type="state", truth=False, render_mode="rgb_array")
    whole = SwingEnv(size=16, render_mode="rgb_array")
    assert bare.reset(seed=1)[1] == {}
    frame, _ = whole.reset(seed=1)
    np.testing.assert_array_equal(bare.render(), frame)
    np.testing.assert_array_equal(bare.masks(), whole.masks())
    bare.step(np.ones(1)), whole.step(np.ones(1))
    np.testing.assert_array_equal(bare.render(), whole.render())
    frame, info = SwingEnv(size=16, truth=False).reset(seed=1)
    np.testing.assert_array_equal(frame, whole.reset(seed=1)[0])
    assert info == {}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"env_id": "worldmodel/Maze-v0"}, "which is no state: choose an id that observes a vector"),
        ({"env_id": "worldmodel/Push-v0", "action_repeat": 0}, "action_repeat is at least 1"),
        ({"env_id": "worldmodel/Push-v0", "render_mode": "rgb_array"}, "draws nothing"),
    ],
)
def test_what_has_no_state_says_so(arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(EnvError, match=sentence):
        gym.make("worldmodel/State-v0", **arguments)


class SelfEnding(gym.Env[np.ndarray, int]):
    """Ends by itself; no spec tells when."""

    observation_space = gym.spaces.Box(0, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)
    max_episode_steps = 7


def test_environments_that_end_by_themselves_tell_when() -> None:
    assert StateEnv(SelfEnding(), action_repeat=2).max_episode_steps == 4
