"""Any policy, now and then interrupted by held random actions, so that what it never does is in the data too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from worldmodel.agents.exploration import HeldActions
from worldmodel.errors import WorldModelError
from worldmodel.policy import CorrectablePolicy, InformedPolicy, Policy

_LONGEST = 16  # steps of one stretch


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
