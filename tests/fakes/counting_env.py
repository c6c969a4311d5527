"""A fake environment whose every number says where it comes from, so that any misalignment fails exactly.

The picture shows (reset's seed, t); the reward is a number made of the action that earned it; the info repeats both.
"""

import os
import signal
import time
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

SIZE = 16
SHORTEST = 4


def draw(seed: int, step: int) -> np.ndarray:
    """uint8 [SIZE, SIZE, 3]: the left half's colour is the seed (mod 2^24), the right half's the step."""
    frame = np.empty((SIZE, SIZE, 3), np.uint8)
    frame[:, : SIZE // 2] = _digits(seed)
    frame[:, SIZE // 2 :] = _digits(step + 1)
    return frame


def read(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of `draw` for uint8 [..., SIZE, SIZE, 3]: the seeds (mod 2^24) and steps [...]."""
    weights = np.array([1, 256, 65536])
    return (frames[..., 0, 0, :] * weights).sum(-1), (frames[..., 0, -1, :] * weights).sum(-1) - 1


def reward_of(action: Any) -> float:
    """A number that tells actions apart, exact in float32."""
    flat = np.round(np.asarray(action, np.float64).ravel() * 1024) / 1024
    return float(np.float32(flat @ (1 + np.arange(flat.size))))


class CountingEnv(gym.Env):
    """Counts its steps; episode lengths differ by seed (SHORTEST to SHORTEST + 8); odd seeds end as terminated."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self,
        render_mode: str | None = "rgb_array",
        discrete: bool = False,
        fault: str = "",
        delay: float = 0.0,
    ) -> None:
        self.render_mode = render_mode
        self.observation_space = spaces.Box(0, np.inf, (2,), np.float64)
        self.action_space = (
            spaces.Discrete(5, start=2) if discrete else spaces.Box(-2.0, 4.0, (3,), np.float32)
        )
        self._fault, self._delay = fault, delay

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._seed, self._step = seed or 0, 0
        self._length = SHORTEST + self._seed % 9
        return self._state(), self._info()

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._step += 1
        time.sleep(self._delay)
        if self._fault == "raises":
            raise RuntimeError("the table\nbroke")
        if self._fault == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        reward = float("nan") if self._fault == "nan" else reward_of(action)
        over = self._step >= self._length
        terminated = over and self._seed % 2 == 1
        return self._state(), reward, terminated, over and not terminated, self._info()

    def render(self) -> np.ndarray:
        if self._fault == "blank" and self._step == 2:
            return np.zeros((SIZE, SIZE, 3), np.uint8)
        return draw(self._seed, self._step) if self._fault != "frozen" else draw(1, 2)

    def _state(self) -> np.ndarray:
        return np.array([self._seed, self._step], np.float64)

    def _info(self) -> dict[str, Any]:
        return {
            "where/now": self._state(),
            "step": self._step,
            "text": "cannot be stored",
            "late": [1] * self._step,
        }


def _digits(number: int) -> list[int]:
    return [number % 256, number // 256 % 256, number // 65536 % 256]


gym.register("Counting-v0", CountingEnv)
