"""The real simulator beside a dream: begun by a seed, stepped under the same actions, brought back to any moment."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from worldmodel.errors import EnvError
from worldmodel.model.world import WorldSpec
from worldmodel.spaces import ActionCodec

_TRIES = 8  # seeds in a row whose episode ends within the context


@dataclass(frozen=True)
class Opening:
    """The first real frames of an episode: uint8 [n,H,W,C] and the n-1 stored actions between them."""

    frames: np.ndarray
    actions: np.ndarray


@dataclass(frozen=True)
class RealStep:
    """What the simulator made of an action. state: with which it comes back there, None where it has none."""

    frame: np.ndarray
    reward: float
    terminated: bool
    state: Any
    info: dict[str, Any]


class Reality:
    """One session's simulator. Raises EnvError when the world's environment cannot be made here."""

    def __init__(self, world: WorldSpec) -> None:
        self._world, self._codec = world, world.codec
        self._env: gym.Env[Any, Any] = world.env.make()
        space = self._env.action_space
        if space != world.action_space:
            self._env.close()
            raise EnvError(
                f"The environment {world.env.id} has the action space {space} here, the world was trained with "
                f"{world.action_space}: install the version it was trained with."
            )
        self._seed = 0
        self._opening = 0
        self._has_state = False

    @property
    def action_names(self) -> list[str] | None:
        """What the environment calls its Discrete actions, where it does."""
        if not self._env.has_wrapper_attr("get_action_meanings"):
            return None
        return [str(name) for name in self._env.get_wrapper_attr("get_action_meanings")()]

    def begin(self, seed: int, frames: int) -> tuple[Opening, RealStep]:
        """Reset, and one drawn action held until `frames` frames have been seen; also the moment that is then.

        Where the episode ends within them, the next seed is taken.
        """
        for attempt in range(_TRIES):
            self._seed = (seed + attempt) % 2**31  # some environments take 31 bits
            held = self._drawn_action()
            frame, info = self._env.reset(seed=self._seed)
            step = RealStep(np.array(frame), 0.0, False, self._state(info), dict(info))
            seen, done = [step.frame], False
            for _ in range(frames - 1):
                step = self.step(held)
                seen.append(step.frame)
                done = done or step.terminated
            if not done:
                self._opening = len(seen) - 1
                self._has_state = step.state is not None
                actions = np.stack([held] * self._opening) if self._opening else _none(self._codec)
                self._held = held
                return Opening(np.stack(seen), actions), step
        raise EnvError(
            f"The episodes of {self._world.env.id} end within {frames} frames: no dream can start from them."
        )

    def step(self, stored: np.ndarray) -> RealStep:
        """Under an action as the codec stores it. A time limit is no end: the session counts its own steps."""
        frame, reward, terminated, truncated, info = self._env.step(self._codec.restore(stored))
        ended = bool(terminated) or (bool(truncated) and self._world.max_episode_steps is None)
        return RealStep(np.array(frame), float(reward), ended, self._state(info), dict(info))

    def bring_back(self, state: Any, actions: Sequence[np.ndarray], frame: np.ndarray) -> None:
        """To the moment with this state, or, where there is none, after these actions since `begin`; it looked like
        `frame`. Raises EnvError when it does not look like that again."""
        seen, _ = self._env.reset(seed=self._seed)
        if self._has_state:
            seen, _ = self._env.get_wrapper_attr("set_state")(state)
        else:
            for action in [*[self._held] * self._opening, *actions]:
                seen, *_ = self._env.step(self._codec.restore(action))
        if not np.array_equal(seen, frame):
            raise EnvError(
                f"{self._world.env.id} does not come back to this moment, neither by its state nor by replaying its "
                "actions: reset to see it again."
            )

    def close(self) -> None:
        """Free the simulator."""
        self._env.close()

    def _drawn_action(self) -> np.ndarray:
        """As the codec stores it; the same for the same seed."""
        numbers = np.random.default_rng(self._seed).uniform(-1.0, 1.0, self._codec.size)
        return self._codec.decode(numbers)

    def _state(self, info: dict[str, Any]) -> Any:
        """What set_state takes: info["state"], or get_state(). Gymnasium's own MuJoCo environments take two vectors."""
        env = self._env
        if not env.has_wrapper_attr("set_state"):
            return None
        if len(inspect.signature(env.get_wrapper_attr("set_state")).parameters) != 1:
            return None
        if "state" in info:
            return info["state"]
        return env.get_wrapper_attr("get_state")() if env.has_wrapper_attr("get_state") else None


def _none(codec: ActionCodec) -> np.ndarray:
    return np.zeros((0, *codec.stored_shape), codec.stored_dtype)
