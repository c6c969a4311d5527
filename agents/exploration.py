"""Policies that explore without learning: what world-model data is collected with.

All are worldmodel.policy.Policy and take every space that worldmodel.spaces knows.
White noise covers little: a force drawn anew each step averages out. So actions are held or drift slowly.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from worldmodel.errors import WorldModelError
from worldmodel.policy import CorrectablePolicy, InformedPolicy, Policy
from worldmodel.spaces import ActionCodec

_LONGEST = 16  # steps of one random stretch


class RandomActions:
    """A uniformly drawn action at every step."""

    def __init__(self, action_space: gym.Space, rng: np.random.Generator) -> None:
        self._draw = _sampler(action_space, rng)

    def reset(self) -> None:
        """Nothing to forget."""

    def act(self, observation: np.ndarray) -> Any:
        """A fresh uniform action."""
        return self._draw()


class HeldActions:
    """A uniformly drawn action, held for a uniformly drawn 1 to `max_hold` steps.

    Box actions are now and then pushed to exact bounds (`bounds`: probability per draw, each dimension low or high) or
    to zero (`zero`), because policies that act well live there and uniform draws never do.
    """

    def __init__(
        self,
        action_space: gym.Space,
        rng: np.random.Generator,
        max_hold: int = 16,
        bounds: float = 0.5,
        zero: float = 0.1,
    ) -> None:
        self._space, self._rng, self._draw = action_space, rng, _sampler(action_space, rng)
        self._max_hold, self._bounds, self._zero = max_hold, bounds, zero
        self.reset()

    def reset(self) -> None:
        """Let go of the held action."""
        self._left = 0

    def act(self, observation: np.ndarray) -> Any:
        """The held action, or the next one."""
        if self._left == 0:
            self._held = self._next()
            self._left = int(self._rng.integers(1, self._max_hold + 1))
        self._left -= 1
        return self._held

    def _next(self) -> Any:
        action, choice = self._draw(), self._rng.random()
        if choice < self._bounds:
            return _map_boxes(self._space, action, self._to_bounds)
        if choice < self._bounds + self._zero:
            return _map_boxes(self._space, action, _to_zero)
        return action

    def _to_bounds(self, box: spaces.Box, action: np.ndarray) -> np.ndarray:
        bound = np.where(self._rng.random(box.shape) < 0.5, box.low, box.high)
        return np.where(np.isfinite(bound), bound, action).astype(box.dtype)


class OrnsteinUhlenbeck:
    """Actions that drift: a stationary Ornstein-Uhlenbeck process in the encoded action space.

    correlation_steps: after so many steps the correlation has fallen to 1/e; std: in units of half the action range.
    Discrete parts follow the largest of their drifting preferences, so they too change slowly.
    """

    def __init__(
        self,
        action_space: gym.Space,
        rng: np.random.Generator,
        correlation_steps: float = 8.0,
        std: float = 0.7,
    ) -> None:
        self._codec, self._rng = ActionCodec(action_space), rng
        self._keep, self._std = float(np.exp(-1.0 / correlation_steps)), std
        self.reset()

    def reset(self) -> None:
        """Start from the stationary distribution."""
        self._state = self._rng.normal(0.0, self._std, self._codec.size)

    def act(self, observation: np.ndarray) -> Any:
        """The present action; then the process moves on."""
        action = self._codec.restore(self._codec.decode(self._state))
        kick = self._rng.normal(0.0, self._std, self._codec.size)
        self._state = self._keep * self._state + np.sqrt(1.0 - self._keep**2) * kick
        return action


class RandomStretches:
    """`policy`, but a `share` of all steps, in stretches of 1 to 16, is one random action held (see HeldActions)."""

    def __init__(
        self, policy: Policy, action_space: gym.Space, rng: np.random.Generator, share: float
    ) -> None:
        if not 0 <= share <= 1:
            raise WorldModelError(f"random_share is {share}, expected 0 to 1.")
        self._policy, self._rng, self._share = policy, rng, share
        self._held = HeldActions(action_space, rng, max_hold=_LONGEST)
        # In the long run, stretches of mean length m after gaps of mean length g take m / (m + g) of the steps.
        mean = (1 + _LONGEST) / 2
        self._begin = 1.0 if share == 1 else min(1.0, share / ((1 - share) * mean))
        self.reset()

    def reset(self) -> None:
        """Forget the episode before."""
        self._policy.reset()
        self._left = 0

    def inform(self, info: Mapping[str, Any]) -> None:
        """Handed on to a policy that wants it."""
        if isinstance(self._policy, InformedPolicy):
            self._policy.inform(info)

    def act(self, observation: np.ndarray) -> Any:
        """The policy's action, which is asked in any case so that it sees every frame, or the held one."""
        action = self._policy.act(observation)
        if self._left == 0 and self._rng.random() < self._begin:
            self._held.reset()
            self._left = int(self._rng.integers(1, _LONGEST + 1))
            self._random = self._held.act(observation)
        if self._left == 0:
            return action
        self._left -= 1
        if isinstance(self._policy, CorrectablePolicy):
            self._policy.took(self._random)
        return self._random


def with_random_share(
    policy: Policy, action_space: gym.Space, rng: np.random.Generator, share: float
) -> Policy:
    """`policy` itself where share is 0."""
    return policy if share == 0 else RandomStretches(policy, action_space, rng, share)


def _sampler(space: gym.Space, rng: np.random.Generator) -> Callable[[], Any]:
    """Uniform draws that follow `rng` and leave the caller's space, which has a generator of its own, untouched."""
    own = copy.deepcopy(space)
    own.seed(int(rng.integers(2**31)))
    return own.sample


def _to_zero(box: spaces.Box, action: np.ndarray) -> np.ndarray:
    return np.clip(np.zeros_like(action), box.low, box.high)


def _map_boxes(space: gym.Space, action: Any, change: Callable[[spaces.Box, np.ndarray], np.ndarray]) -> Any:
    match space:
        case spaces.Box():
            return change(space, action)
        case spaces.Dict():
            return {key: _map_boxes(item, action[key], change) for key, item in space.spaces.items()}
        case spaces.Tuple():
            return tuple(
                _map_boxes(item, part, change) for item, part in zip(space.spaces, action, strict=True)
            )
    return action
