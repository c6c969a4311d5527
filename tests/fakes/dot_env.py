"""A dot that moves as many pixels as the action says, and dreams of it that are exact, deaf to actions, or slow.

Everything a measurement should find is known beforehand."""

from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces

from worldmodel.frames import float_to_frames, frames_to_float
from worldmodel.model.state import Imagination, Transition
from worldmodel.model.world import StartContexts
from worldmodel.spaces import ActionCodec

SIZE, WALL = 16, 13
STEP = 2  # pixels per unit of action
ACTIONS = spaces.Box(-1.0, 1.0, (2,), np.float32)


def draw(x: int, y: int) -> np.ndarray:
    """uint8 [SIZE,SIZE,3]: a white 3x3 dot whose top left pixel is (x, y)."""
    frame = np.full((SIZE, SIZE, 3), 40, np.uint8)
    frame[y : y + 3, x : x + 3] = 255
    return frame


def find(frame: np.ndarray) -> tuple[int, int]:
    """Inverse of `draw`."""
    ys, xs = np.nonzero(frame[..., 0] == 255)
    return int(xs.min()), int(ys.min())


def move(x: int, y: int, action: np.ndarray, speed: float = STEP) -> tuple[int, int]:
    """Where the dot is next."""
    dx, dy = np.rint(np.asarray(action, np.float64) * speed).astype(int)
    return int(np.clip(x + dx, 0, WALL)), int(np.clip(y + dy, 0, WALL))


def reward_of(x: int) -> float:
    return x / 8


class DotEnv(gym.Env):
    """Reward: how far right. With `ends`, touching the right wall terminates. `state`: can be restored by set_state;
    `replays`: the same seed starts at the same place."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self,
        render_mode: str | None = "rgb_array",
        ends: bool = False,
        state: bool = True,
        replays: bool = True,
    ) -> None:
        self.render_mode, self._ends, self._state, self._replays = render_mode, ends, state, replays
        self.observation_space = spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)
        self.action_space = ACTIONS
        if state:
            self.set_state = self._set_state

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        rng = self.np_random if self._replays else np.random.default_rng()
        self._x, self._y = (int(value) for value in rng.integers(2, WALL - 4, size=2))
        return self._seen()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._x, self._y = move(self._x, self._y, action)
        frame, info = self._seen()
        return frame, reward_of(self._x), self._ends and self._x == WALL, False, info

    def render(self) -> np.ndarray:
        return draw(self._x, self._y)

    def _set_state(self, state: np.ndarray) -> tuple[np.ndarray, dict]:
        self._x, self._y = (int(value) for value in state)
        return self._seen()

    def _seen(self) -> tuple[np.ndarray, dict]:
        info = {"state": np.array([self._x, self._y], np.float64)} if self._state else {}
        return draw(self._x, self._y), info


gym.register("Dot-v0", DotEnv, max_episode_steps=20)


class DotState:
    """Where B dreamt dots are: [B,2]."""

    def __init__(self, places: torch.Tensor) -> None:
        self.places = places

    def select(self, index: torch.Tensor) -> "DotState":
        return DotState(self.places[index].clone())

    def __len__(self) -> int:
        return len(self.places)

    @property
    def last(self) -> torch.Tensor:
        return frames_to_float(torch.from_numpy(np.stack([draw(x, y) for x, y in self.places.tolist()])))


class DotDream:
    """Stands for a WorldModel of DotEnv. speed: STEP is exact, 0 is deaf to actions."""

    def __init__(self, speed: float = STEP, num_context_frames: int = 3) -> None:
        codec = ActionCodec(ACTIONS)
        self.speed, self.device = speed, torch.device("cpu")
        self.world = SimpleNamespace(
            codec=codec,
            num_context_frames=num_context_frames,
            action_space=ACTIONS,
            frame_shape=(SIZE, SIZE, 3),
            env=SimpleNamespace(id="dot_env:Dot-v0"),
            fps=10.0,
        )
        frames = np.stack([[draw(place, place)] * num_context_frames for place in (3, 6)])
        self.contexts = StartContexts(torch.from_numpy(frames), torch.zeros(2, num_context_frames - 1, 2))

    def begin(self, frames: torch.Tensor, actions: torch.Tensor, seeds: torch.Tensor) -> DotState:
        return DotState(torch.tensor([find(frame) for frame in frames[:, -1].numpy()]))

    def imagine(self, state: DotState, actions: torch.Tensor, passes: int | None = None) -> Imagination:
        steps = [self.step(state, action) for action in actions.unbind(1)]
        names = ("reward", "termination_probability", "uncertainty", "terminated")
        rest = [torch.stack([getattr(step, name) for step in steps], dim=1) for name in names]
        return Imagination(torch.stack([float_to_frames(step.frame) for step in steps], dim=1), *rest)

    def step(self, state: DotState, action: torch.Tensor, passes: int | None = None) -> Transition:
        moved = zip(state.places.tolist(), action.numpy(), strict=True)
        state.places = torch.tensor([move(x, y, row, self.speed) for (x, y), row in moved])
        frame = torch.from_numpy(np.stack([draw(x, y) for x, y in state.places.tolist()]))
        x = state.places[:, 0]
        unknown = torch.full(x.shape, torch.nan)
        over = x == WALL
        return Transition(
            frames_to_float(frame), x.float() / 8, over.float(), unknown, unknown[:, None], over
        )
