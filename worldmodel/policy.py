"""What collecting and evaluating need of a policy, whoever made it."""

from typing import Any, Protocol

import numpy as np


class Policy(Protocol):
    """Made as `policy(action_space, rng)`, with rng a np.random.Generator; then reset() and act() play an episode."""

    def reset(self) -> None:
        """Forget the episode before."""

    def act(self, observation: np.ndarray) -> Any:
        """The action for a uint8 [H, W, C] observation, as env.step takes it."""
