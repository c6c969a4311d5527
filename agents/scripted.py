"""A function of the user's as a policy."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from worldmodel.agents.exploration import with_random_share
from worldmodel.errors import WorldModelError
from worldmodel.policy import Policy

Script = Callable[[np.ndarray, Mapping[str, Any], np.random.Generator], Any]


class Scripted:
    """Acts as `script(observation, info, rng)` does: frame uint8 [H,W,C], the simulator's info, an episode's own rng.

    In dreams, where no simulator tells anything, the info is empty.
    """

    def __init__(self, script: Script, rng: np.random.Generator) -> None:
        self._script, self._rng = script, rng
        self.reset()

    def reset(self) -> None:
        """Scripts remember nothing; for one that does, write a class (see worldmodel.policy.Policy)."""
        self._info: Mapping[str, Any] = {}

    def inform(self, info: Mapping[str, Any]) -> None:
        """What the script will see."""
        self._info = info

    def act(self, observation: np.ndarray) -> Any:
        """What the script says."""
        return self._script(observation, self._info, self._rng)


def scripted(
    action_space: gym.Space, rng: np.random.Generator, call: str, random_share: float = 0.0
) -> Policy:
    """The policy `policy=scripted`. call: a function of an importable module, as module:function or module.function."""
    try:
        script = pkgutil.resolve_name(call)
    except (ImportError, AttributeError, ValueError) as error:
        raise WorldModelError(
            f"policy.call={call} cannot be found ({error}); write module:function."
        ) from error
    if not callable(script):
        raise WorldModelError(f"policy.call={call} is {script!r}, which is no function.")
    return with_random_share(Scripted(script, rng), action_space, rng, random_share)
