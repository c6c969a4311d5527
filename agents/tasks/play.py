"""Playing whole episodes of the real environment, many at once; none is changed by how many are played beside it."""

# K episodes being played at a moment, C H W frame, n frames kept

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from worldmodel.agents.exploration import RandomActions
from worldmodel.agents.learning.actor_critic import ActorCritic, observation
from worldmodel.data.rollout import RunningEpisode
from worldmodel.errors import WorldModelError
from worldmodel.frames import frames_to_float
from worldmodel.progress import progress
from worldmodel.real_env import EnvConfig
from worldmodel.spaces import ActionCodec


def episode_seed(seed: int, index: int) -> int:
    """What the environment is reset with for episode `index`."""
    return int(np.random.SeedSequence((seed, index)).generate_state(1)[0])


class Actor(Protocol):
    """Chooses actions for several episodes at once."""

    def act(self, observation: Tensor, episodes: list[int]) -> np.ndarray:
        """Stored actions [K,...] (see ActionCodec) for observations [K,2C,H,W] of these episodes."""


class PolicyActor:
    """A trained agent: its likeliest action or, sampled, one that depends on (seed, episode) and the step alone."""

    def __init__(self, policy: ActorCritic, sample: bool = False, seed: int = 0) -> None:
        self._policy, self._sample, self._seed = policy.eval(), sample, seed
        self._device = policy.value_mean.device
        self._generators: dict[int, torch.Generator] = {}

    @torch.no_grad()
    def act(self, observation: Tensor, episodes: list[int]) -> np.ndarray:
        """See Actor."""
        codec = self._policy.codec
        actions = self._policy(observation.to(self._device)).actions
        if self._sample:
            rows = [actions.row(k).sample(self._generator(episode)) for k, episode in enumerate(episodes)]
            return codec.decode(torch.cat(rows).cpu().numpy())
        return codec.decode(actions.mode().cpu().numpy())

    def _generator(self, episode: int) -> torch.Generator:
        if episode not in self._generators:
            generator = torch.Generator(self._device).manual_seed(self._seed * 1_000_003 + episode)
            self._generators[episode] = generator
        return self._generators[episode]


class RandomActor:
    """A new uniform action at every step: what a score is compared with."""

    def __init__(self, action_space: gym.Space[Any], seed: int = 0) -> None:
        self._space, self._seed, self._codec = action_space, seed, ActionCodec(action_space)
        self._policies: dict[int, RandomActions] = {}

    def act(self, observation: Tensor, episodes: list[int]) -> np.ndarray:
        """See Actor."""
        return np.stack([self._codec.store(self._policy(episode).act(np.empty(0))) for episode in episodes])

    def _policy(self, episode: int) -> RandomActions:
        if episode not in self._policies:
            self._policies[episode] = RandomActions(self._space, np.random.default_rng((self._seed, episode)))
        return self._policies[episode]


@dataclass(frozen=True)
class Played:
    """One whole episode: rewards float64 [T], did it terminate, and its first frames uint8 [<=n,H,W,C] and the stored
    actions [<=n-1,...] between them."""

    rewards: np.ndarray
    terminated: bool
    frames: np.ndarray
    actions: np.ndarray


def play(
    actor: Actor,
    env: EnvConfig,
    episodes: int,
    seed: int,
    keep: int = 1,
    at_once: int = 32,
    desc: str = "play",
) -> list[Played]:
    """Play `episodes` episodes; the start of episode i depends on (seed, i) alone. keep: first frames to keep."""
    if episodes < 1:
        raise WorldModelError(f"episodes is {episodes}, expected at least 1.")
    if at_once < 1:
        raise WorldModelError(f"at_once is {at_once}, expected at least 1.")
    seats = [RunningEpisode(env.make(), keep=keep) for _ in range(min(at_once, episodes))]
    done: dict[int, Played] = {}
    try:
        with progress(total=episodes, desc=desc, unit="episode") as bar:
            for index, played in _play(actor, seats, episodes, seed):
                done[index] = played
                bar.update()
    finally:
        for seat in seats:
            seat.env.close()
    return [done[index] for index in range(episodes)]


def _play(
    actor: Actor, seats: list[RunningEpisode], episodes: int, seed: int
) -> Iterator[tuple[int, Played]]:
    """(index, episode) as they end, so many side by side as there are seats."""
    waiting = iter(range(episodes))
    active: dict[int, RunningEpisode] = {}
    for seat, index in zip(seats, waiting, strict=False):
        active[index] = seat
        seat.begin(episode_seed(seed, index))
    while active:
        frames = np.stack([(seat.observation, seat.previous) for seat in active.values()])
        last, previous = frames_to_float(torch.from_numpy(frames)).unbind(dim=1)
        actions = actor.act(observation(last, previous), list(active))
        for seat, action in zip(active.values(), actions, strict=True):
            seat.step(action)
        for index, seat in [item for item in active.items() if item[1].over]:
            rewards, frames = np.array(seat.rewards), np.stack(seat.frames)
            yield index, Played(rewards, seat.terminated, frames, seat.stored_actions())
            del active[index]
            if (following := next(waiting, None)) is not None:
                active[following] = seat
                seat.begin(episode_seed(seed, following))
