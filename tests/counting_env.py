"""A fake environment whose every number says where it comes from, so that any misalignment fails exactly.

The picture shows (reset's seed, t); the reward is a number made of the action that earned it; the info repeats both.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

SIZE = 16


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
    """Counts its steps; episode lengths differ by seed (`shortest` to `shortest` + 8); odd seeds end as terminated."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self,
        render_mode: str | None = "rgb_array",
        discrete: bool = False,
        shortest: int = 4,
        fail_at: str = "",
        crash_seed_below: int = 0,
    ) -> None:
        self.render_mode = render_mode
        self.observation_space = spaces.Box(0, np.inf, (2,), np.float64)
        self.action_space = (
            spaces.Discrete(5, start=2) if discrete else spaces.Box(-2.0, 4.0, (3,), np.float32)
        )
        self._shortest, self._fail_at, self._crash_seed_below = shortest, fail_at, crash_seed_below

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._seed, self._step = seed or 0, 0
        self._length = self._shortest + self._seed % 9
        return self._state(), self._info()

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._step += 1
        if self._fail_at == "step":
            raise RuntimeError("the table\nbroke")
        over = self._step >= self._length
        terminated = over and self._seed % 2 == 1
        return self._state(), reward_of(action), terminated, over and not terminated, self._info()

    def render(self) -> np.ndarray:
        if self._fail_at == "blank":
            return np.zeros((SIZE, SIZE, 3), np.uint8)
        return draw(self._seed, 0 if self._fail_at == "frozen" else self._step)

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
