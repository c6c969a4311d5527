"""Actions of a scene: continuous as its motors take them, or a choice between fixed settings of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from worldmodel.errors import EnvError, WorldModelError


class ActionError(WorldModelError, ValueError):
    """An action of the wrong shape or kind, or not finite."""


class BoxControls:
    """Box actions within the motors' ranges [n,2]; values out of bounds are clipped."""

    def __init__(self, ranges: np.ndarray) -> None:
        low, high = ranges.astype(np.float32).T
        self.space = gym.spaces.Box(low, high, dtype=np.float32)

    def ctrl(self, action: Any) -> np.ndarray:
        """Motor settings float64 [n]. Raises ActionError for a wrong shape, NaN, or what is no number."""
        try:
            action = np.asarray(action, np.float64)
        except (TypeError, ValueError):
            raise ActionError(f"an action must be {self.space.shape} numbers, got {action!r}.") from None
        if action.shape != self.space.shape:
            raise ActionError(f"an action must have shape {self.space.shape}, got {action.shape}.")
        if np.isnan(action).any():
            raise ActionError(f"an action must not be NaN, got {action}.")
        return np.clip(action, self.space.low, self.space.high)


class DiscreteControls:
    """Discrete actions: action k sets the motors to row k of `moves` [k,n]."""

    def __init__(self, moves: Sequence[Sequence[float]]) -> None:
        self._moves = np.array(moves, np.float64)
        self.space = gym.spaces.Discrete(len(moves))

    def ctrl(self, action: Any) -> np.ndarray:
        """Motor settings float64 [n]. Raises ActionError for anything but one whole number in range."""
        index = np.asarray(action)
        if index.shape != () or index.dtype.kind not in "iu" or not 0 <= index < len(self._moves):
            raise ActionError(
                f"an action must be a whole number from 0 to {len(self._moves) - 1}, got {action!r}."
            )
        return self._moves[int(index)].copy()


Controls = BoxControls | DiscreteControls


def make_controls(action_type: str, ranges: np.ndarray, moves: Sequence[Sequence[float]]) -> Controls:
    """For action_type "continuous" or "discrete". Raises EnvError when that is neither."""
    if action_type == "continuous":
        return BoxControls(ranges)
    if action_type == "discrete":
        return DiscreteControls(moves)
    raise EnvError(f"action_type must be 'continuous' or 'discrete', got {action_type!r}.")
