"""An agent that `worldmodel agent train` trained, as a policy to collect data with."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from worldmodel.agents.exploration import with_random_share
from worldmodel.agents.learning.actor_critic import ActorCritic
from worldmodel.agents.learning.actor_critic import observation as stacked
from worldmodel.agents.learning.storage import find_policy, load_policy
from worldmodel.benchmark.timing import torch_threads
from worldmodel.errors import WorldModelError
from worldmodel.frames import frames_to_float
from worldmodel.policy import Policy


class TrainedAgent:
    """Takes `network`'s likeliest action or, with `sample`, one that depends on rng; sees two frames, the first of all
    twice."""

    def __init__(
        self, network: ActorCritic, action_space: gym.Space, rng: np.random.Generator, sample: bool = False
    ) -> None:
        if network.action_space != action_space:
            raise WorldModelError(
                f"The agent acts in {network.action_space}, the environment takes {action_space}."
            )
        self.network, self.sample = network, sample
        self._generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        self.reset()

    def reset(self) -> None:
        """Forget the episode before."""
        self._previous: np.ndarray | None = None

    def check_frames(self, shape: tuple[int, ...] | None) -> None:
        """Raise WorldModelError unless frames of this shape are what the agent sees."""
        if shape != tuple(self.network.frame_shape):
            shapes = f"{tuple(self.network.frame_shape)}, the environment draws {shape}"
            raise WorldModelError(f"The agent sees frames of shape {shapes}: set env.size.")

    @torch.no_grad()
    def act(self, observation: np.ndarray) -> Any:
        """See Policy."""
        self.check_frames(observation.shape)
        frames = frames_to_float(torch.from_numpy(np.stack([observation, self._before(observation)])))
        with torch_threads(1):
            actions = self.network(stacked(frames[:1], frames[1:])).actions
            encoded = actions.sample(self._generator) if self.sample else actions.mode()
        codec = self.network.codec
        return codec.restore(codec.decode(encoded[0].numpy()))

    def _before(self, frame: np.ndarray) -> np.ndarray:
        previous = frame if self._previous is None else self._previous
        self._previous = frame
        return previous


def trained(
    action_space: gym.Space,
    rng: np.random.Generator,
    path: str,
    sample: bool = False,
    random_share: float = 0.0,
) -> Policy:
    """The policy `policy=checkpoint`. path: the run folder of `worldmodel agent train`, or the policy folder in it."""
    agent = TrainedAgent(_load(find_policy(path).resolve()), action_space, rng, sample)
    return with_random_share(agent, action_space, rng, random_share)


@lru_cache(maxsize=1)
def _load(folder: Path) -> ActorCritic:
    """Kept, because collecting makes a policy for every episode."""
    return load_policy(folder).eval()
