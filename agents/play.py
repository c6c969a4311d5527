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

from worldmodel.agents.actor_critic import STACKED_FRAMES, ActorCritic, observation
from worldmodel.agents.exploration import RandomActions
from worldmodel.agents.real_sight import RealSight
from worldmodel.errors import WorldModelError
from worldmodel.frames import float_to_frames, frames_to_float
from worldmodel.progress import progress
from worldmodel.real_env import EnvConfig
from worldmodel.spaces import ActionCodec

LONGEST = 1000  # steps after which an episode is left, where the environment has no time limit of its own


def episode_seed(seed: int, index: int) -> int:
    """What the environment is reset with for episode `index`."""
    return int(np.random.SeedSequence((seed, index)).generate_state(1)[0])


class Actor(Protocol):
    """Chooses actions for several episodes at once."""

    def act(self, observation: Tensor, episodes: list[int]) -> np.ndarray:
        """Stored actions [K,...] (see ActionCodec) for observations [K,2C,H,W] of these episodes."""


class PolicyActor:
    """A trained agent: its likeliest action or, sampled, one that depends on (seed, episode) and the step alone.

    One on features sees what its own world model makes of the episodes. Raises CheckpointError where that is missing.
    """

    def __init__(self, policy: ActorCritic, sample: bool = False, seed: int = 0) -> None:
        self._policy, self._sample, self._seed = policy.eval(), sample, seed
        self._device = policy.value_mean.device
        self._sight = None if policy.world is None else RealSight(policy.world.load(self._device))
        self._generators: dict[int, torch.Generator] = {}

    @torch.no_grad()
    def act(self, observation: Tensor, episodes: list[int]) -> np.ndarray:
        """See Actor."""
        codec = self._policy.codec
        if self._sight is not None:
            colours = observation.shape[1] // STACKED_FRAMES
            observation = self._sight.see(float_to_frames(observation[:, :colours]), episodes)
        actions = self._policy(observation.to(self._device)).actions
        if self._sample:
            rows = [actions.row(k).sample(self._generator(episode)) for k, episode in enumerate(episodes)]
            stored = codec.decode(torch.cat(rows).cpu().numpy())
        else:
            stored = codec.decode(actions.mode().cpu().numpy())
        if self._sight is not None:
            self._sight.took(torch.from_numpy(codec.encode(stored)), episodes)
        return stored

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
    seats = [_Seat(env.make(), keep) for _ in range(min(at_once, episodes))]
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


def _play(actor: Actor, seats: list[_Seat], episodes: int, seed: int) -> Iterator[tuple[int, Played]]:
    waiting = iter(range(episodes))
    active = [seat for seat, index in zip(seats, waiting, strict=False) if seat.start(index, seed)]
    while active:
        seen = frames_to_float(torch.from_numpy(np.stack([np.stack(seat.view) for seat in active])))
        actions = actor.act(observation(seen[:, 0], seen[:, 1]), [seat.index for seat in active])
        over = [seat for seat, action in zip(active, actions, strict=True) if not seat.step(action)]
        for seat in over:
            yield seat.index, seat.played()
            following = next(waiting, None)
            if following is None:
                active.remove(seat)
            else:
                seat.start(following, seed)


class _Seat:
    """One environment and the episode running in it."""

    def __init__(self, env: gym.Env[np.ndarray, Any], keep: int) -> None:
        self.env, self._keep = env, keep
        self._codec = ActionCodec(env.action_space)
        self._limit = env.get_wrapper_attr("max_episode_steps") or LONGEST

    def start(self, index: int, seed: int) -> bool:
        frame, _ = self.env.reset(seed=episode_seed(seed, index))
        self.index, self.view, self._terminated = index, (frame, frame), False
        self._frames, self._rewards, self._actions = [frame], list[float](), list[np.ndarray]()
        return True

    def step(self, action: np.ndarray) -> bool:
        """Apply a stored action; False when the episode is over."""
        frame, reward, self._terminated, truncated, _ = self.env.step(self._codec.restore(action))
        self._rewards.append(float(reward))
        if len(self._frames) < self._keep:
            self._frames.append(frame)
            self._actions.append(action)
        self.view = (frame, self.view[0])
        return not (self._terminated or truncated or len(self._rewards) >= self._limit)

    def played(self) -> Played:
        actions = np.array(self._actions, self._codec.stored_dtype)
        actions = actions.reshape(-1, *self._codec.stored_shape)
        return Played(np.array(self._rewards), self._terminated, np.stack(self._frames), actions)
