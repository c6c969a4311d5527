"""Naming, making and writing down a real environment."""

import json

import numpy as np
import pytest

from worldmodel.errors import EnvError
from worldmodel.real_env import EnvConfig


def test_json_round_trip() -> None:
    config = EnvConfig("worldmodel/Push-v0", size=48, action_repeat=2, kwargs={"a": [1, 2]})
    assert EnvConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_make() -> None:
    env = EnvConfig("worldmodel/Push-v0", size=24).make()
    frame, info = env.reset(seed=0)
    assert env.observation_space.contains(frame)
    assert frame.shape == (24, 24, 3)
    assert frame.dtype == np.uint8
    assert env.get_wrapper_attr("max_episode_steps") == 100
    assert set(env.step(env.action_space.sample())[4]) == set(info)
    env.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"id": "CartPole-v9"}, "There is no environment 'CartPole-v9'; close matches: CartPole"),
        ({"id": "xyzzy:q"}, "No module named 'xyzzy'"),
        ({"id": "x", "size": 0}, "env.size is 0, expected a whole number of at least 1"),
        ({"id": "x", "action_repeat": "2"}, "env.action_repeat is '2'"),
        ({"id": "x", "renderer": "gpu"}, "env.renderer is 'gpu', expected one of auto, raycast"),
        ({"id": "Blackjack-v1", "renderer": "raycast"}, "Blackjack-v1"),
    ],
)
def test_bad_input(options: dict, message: str) -> None:
    with pytest.raises(EnvError, match=message):
        EnvConfig.from_json(options).make()
