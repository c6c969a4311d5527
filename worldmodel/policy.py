"""What collecting and evaluating need of a policy, whoever made it."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np


class Policy(Protocol):
    """Made as `policy(action_space, rng)`, with rng a np.random.Generator; then reset() and act() play an episode."""

    def reset(self) -> None:
        """Forget the episode before."""

    def act(self, observation: np.ndarray) -> Any:
        """The action for a uint8 [H, W, C] observation, as env.step takes it."""


@runtime_checkable
class CorrectablePolicy(Policy, Protocol):
    """A policy that remembers what it did, and wants to know where something else was done."""

    def took(self, action: Any) -> None:
        """Called after an act whose action was not taken, with the one that was."""


@runtime_checkable
class InformedPolicy(Policy, Protocol):
    """A policy that also sees what the simulator tells; in dreams nobody tells it anything."""

    def inform(self, info: Mapping[str, Any]) -> None:
        """Called before every act with the info that came with the observation."""
