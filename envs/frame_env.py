"""What our own environments have in common: they draw the frames they observe."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from worldmodel.envs.recent_frames import FrameRecord
from worldmodel.errors import EnvError


class FrameEnv(gym.Env[np.ndarray, Any]):
    """Observes frames uint8 [size,size,3], drawn at exactly that size. `size`, `render_mode` and `renderer` (one of
    `renderers`) are constructor arguments of every such environment. `frame_record` keeps the last few frames and
    actions, from which a dream can go on; it is empty where something else than the frame is observed."""

    renderers: ClassVar[tuple[str, ...]]

    def __init__(self, size: int, render_mode: str | None, renderer: str) -> None:
        check_choice("renderer", renderer, self.renderers)
        check_choice("render_mode", render_mode, (None, "rgb_array"))
        if size < 1:
            raise EnvError(f"size must be at least 1, got {size}.")
        self.size, self.render_mode, self.renderer = size, render_mode, renderer
        self.observation_space = gym.spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.frame_record = FrameRecord()


def check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Raise EnvError, listing the choices, when `value` is none of them."""
    if value not in choices:
        raise EnvError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}.")
