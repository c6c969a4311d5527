"""An agent that `worldmodel agent train` trained, as a policy to collect data with."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from worldmodel.agents.actor_critic import ActorCritic, observation
from worldmodel.agents.real_sight import RealSight
from worldmodel.agents.storage import find_policy, load_policy
from worldmodel.agents.stretches import with_random_share
from worldmodel.agents.threads import one_thread
from worldmodel.errors import WorldModelError
from worldmodel.frames import frames_to_float
from worldmodel.policy import Policy


class TrainedAgent:
    """Takes `network`'s likeliest action or, with `sample`, one that depends on rng; sees two frames, the first of all
    twice, or what its world model makes of all frames of the episode so far."""

    def __init__(
        self, network: ActorCritic, action_space: gym.Space, rng: np.random.Generator, sample: bool = False
    ) -> None:
        if network.action_space != action_space:
            raise WorldModelError(
                f"The agent acts in {network.action_space}, the environment takes {action_space}."
            )
        self.network, self.sample = network, sample
        self._generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        self._world = None if network.world is None else network.world.load()
        self.reset()

    def reset(self) -> None:
        """Forget the episode before."""
        self._previous: np.ndarray | None = None
        self._sight = None if self._world is None else RealSight(self._world)

    def check_frames(self, shape: tuple[int, ...] | None) -> None:
        """Raise WorldModelError unless frames of this shape are what the agent sees."""
        if shape != tuple(self.network.frame_shape):
            shapes = f"{tuple(self.network.frame_shape)}, the environment draws {shape}"
            raise WorldModelError(f"The agent sees frames of shape {shapes}: set env.size.")

    @torch.no_grad()
    def act(self, observation: np.ndarray) -> Any:
        """See Policy."""
        self.check_frames(observation.shape)
        with one_thread():
            actions = self.network(self._see(observation)).actions
            encoded = actions.sample(self._generator) if self.sample else actions.mode()
        codec = self.network.codec
        action = codec.restore(codec.decode(encoded[0].numpy()))
        self.took(action)
        return action

    def took(self, action: Any) -> None:
        """See CorrectablePolicy."""
        if self._sight is not None:
            codec = self.network.codec
            self._sight.took(torch.from_numpy(codec.encode(codec.store(action)[None])), [0])

    def _see(self, frame: np.ndarray) -> torch.Tensor:
        if self._sight is not None:
            return self._sight.see(torch.from_numpy(frame)[None], [0])
        previous = frame if self._previous is None else self._previous
        self._previous = frame
        return _seen(frame, previous)


def trained(
    action_space: gym.Space,
    rng: np.random.Generator,
    path: str,
    sample: bool = False,
    random_share: float = 0.0,
    world: str | None = None,
) -> Policy:
    """The policy `policy=checkpoint`. path: the run folder of `worldmodel agent train`, or the policy folder in it;
    world: of an agent on features, where its world model is now, if no longer where the agent learned in it."""
    agent = TrainedAgent(_load(find_policy(path).resolve(), world), action_space, rng, sample)
    return with_random_share(agent, action_space, rng, random_share)


@lru_cache(maxsize=1)
def _load(folder: Path, world: str | None) -> ActorCritic:
    """Kept, because collecting makes a policy for every episode."""
    network = load_policy(folder).eval()
    if world is not None:
        if network.world is None:
            raise WorldModelError(
                f"The agent in {folder} sees frames, no features of a world: leave policy.world out."
            )
        network.world = replace(network.world, checkpoint=world)
    return network


def _seen(last: np.ndarray, previous: np.ndarray) -> torch.Tensor:
    frames = frames_to_float(torch.from_numpy(np.stack([last, previous])))
    return observation(frames[:1], frames[1:])
