"""A model of Stable-Baselines3 as a policy to collect data with."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from worldmodel.agents.exploration import with_random_share
from worldmodel.benchmark.timing import torch_threads
from worldmodel.errors import WorldModelError
from worldmodel.policy import Policy


class SB3Policy:
    """Acts as model.predict does; a model trained on k stacked frames (VecFrameStack) sees the last k, newest last."""

    def __init__(
        self, model: Any, action_space: gym.Space, rng: np.random.Generator, sample: bool = False
    ) -> None:
        if counted_from_zero(model.action_space) != counted_from_zero(action_space):
            raise WorldModelError(
                f"The model acts in {model.action_space}, the environment takes {action_space}."
            )
        self._model, self._action_space, self._rng, self._sample = model, action_space, rng, sample
        self.reset()

    def reset(self) -> None:
        """Forget the frames before; VecFrameStack, too, begins with black ones."""
        self._stack: np.ndarray | None = None

    def act(self, observation: np.ndarray) -> Any:
        """See Policy."""
        stack = self._stacked(observation)
        # Stable-Baselines3 draws from torch's global generator.
        with torch_threads(1), torch.random.fork_rng(devices=[], enabled=self._sample):
            if self._sample:
                torch.manual_seed(int(self._rng.integers(2**63)))
            action, _ = self._model.predict(stack, deterministic=not self._sample)
        action = action + first_action(self._action_space)
        return int(action) if isinstance(self._action_space, gym.spaces.Discrete) else action

    def _stacked(self, frame: np.ndarray) -> np.ndarray:
        height, width, channels = _height_width_channels(self._model.observation_space)
        if frame.shape[:2] != (height, width) or channels % frame.shape[2]:
            expected = f"{(height, width, channels)}, the environment draws {frame.shape}"
            raise WorldModelError(f"The model sees pictures of shape {expected}: set env.size.")
        before = np.zeros((height, width, channels), np.uint8) if self._stack is None else self._stack
        self._stack = np.concatenate([before[..., frame.shape[2] :], frame], axis=-1)
        return self._stack


def sb3_policy(
    action_space: gym.Space,
    rng: np.random.Generator,
    path: str,
    algorithm: str = "PPO",
    sample: bool = False,
    random_share: float = 0.0,
) -> Policy:
    """The policy `policy=sb3`. path: what model.save wrote; algorithm: a class of stable_baselines3.

    Such files contain pickles, which can run any code: load only those that you trust.
    """
    policy = SB3Policy(_load(algorithm, Path(path).resolve()), action_space, rng, sample)
    return with_random_share(policy, action_space, rng, random_share)


@lru_cache(maxsize=1)
def _load(algorithm: str, path: Path) -> Any:
    """Kept, because collecting makes a policy for every episode."""
    try:
        import stable_baselines3
    except ImportError as error:
        raise WorldModelError("policy=sb3 needs an extra: pip install 'worldmodel[sb3]'.") from error
    kind = getattr(stable_baselines3, algorithm, None)
    if kind is None or not hasattr(kind, "load"):
        raise WorldModelError(
            f"stable_baselines3 has no algorithm {algorithm!r}; it has A2C, DQN, PPO, SAC and more."
        )
    if not any(file.is_file() for file in (path, path.with_name(f"{path.name}.zip"))):
        raise WorldModelError(
            f"There is no model at {path}: give what model.save of Stable-Baselines3 wrote."
        )
    try:
        return kind.load(path, device="cpu")
    except (ValueError, KeyError, RuntimeError) as error:
        raise WorldModelError(f"{path} is no model of {algorithm}: {' '.join(str(error).split())}") from error


def _height_width_channels(space: gym.Space) -> tuple[int, int, int]:
    shape = space.shape or ()
    if len(shape) != 3:
        raise WorldModelError(
            f"The model observes {space}, not pictures: collect needs one that was trained on pixels."
        )
    channels_first = shape[0] < shape[2]  # Stable-Baselines3 moves them there
    height, width, channels = (shape[1], shape[2], shape[0]) if channels_first else shape
    return height, width, channels


def counted_from_zero(space: gym.Space) -> gym.Space:
    """The space whose discrete actions begin at 0; any other as it is."""
    match space:
        case gym.spaces.Discrete():
            return gym.spaces.Discrete(space.n)
        case gym.spaces.MultiDiscrete():
            return gym.spaces.MultiDiscrete(space.nvec, dtype=space.dtype)
    return space


def first_action(space: gym.Space) -> Any:
    """What to add to an action that counts from 0 to have one of `space`."""
    return space.start if isinstance(space, gym.spaces.Discrete | gym.spaces.MultiDiscrete) else 0
