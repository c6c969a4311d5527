"""Action spaces as Stable-Baselines3 knows them: their discrete actions count from 0."""

from __future__ import annotations

from typing import Any

import gymnasium as gym


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
