"""Episodes of a real environment: one that runs, and one that is recorded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from worldmodel.episode import Episode
from worldmodel.errors import EnvError
from worldmodel.policy import InformedPolicy, Policy
from worldmodel.spaces import ActionCodec

LONGEST = 1000  # steps after which an episode is left, where the environment has no time limit of its own


class RunningEpisode:
    """An episode of a real environment while it runs: playing, scoring, collecting and learning step one here alone.

    keep: how many of its first frames are kept, with the actions between them; None: all. max_steps: after which it is
    cut as truncated; None: the environment's own limit, or LONGEST. The infos named in `info_keys` (as find_info_keys
    gives them) are kept. `observation`, `previous` (the one before, the first of all twice) and `info` are the newest.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        max_steps: int | None = None,
        keep: int | None = None,
        info_keys: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.env, self.codec = env, ActionCodec(env.action_space)
        own = env.get_wrapper_attr("max_episode_steps") if env.has_wrapper_attr("max_episode_steps") else None
        self._max_steps = max_steps if max_steps is not None else own or LONGEST
        self._keep, self._info_keys = keep, dict(info_keys or {})
        self.over = True

    def begin(self, seed: int | None = None) -> None:
        """Reset; None goes on with the environment's own chance."""
        self.observation, self.info = self.env.reset(seed=seed)
        self.seed, self.previous = seed, self.observation
        self.frames, self._infos = [np.array(self.observation)], [_pick(self.info, self._info_keys, 0)]
        self.actions, self.rewards = list[np.ndarray](), list[float]()
        self.terminated = self.truncated = self.over = False

    def step(self, stored: np.ndarray) -> None:
        """Take an action, as ActionCodec stores it. Raises EnvError for a reward that is not a finite number."""
        before = self.observation
        action = self.codec.restore(stored)
        self.observation, reward, terminated, cut, self.info = self.env.step(action)
        self.previous, step = before, len(self.rewards) + 1
        if not math.isfinite(reward):
            raise EnvError(
                f"The environment gave the reward {reward} at step {step} of the episode with seed {self.seed}."
            )
        self.rewards.append(float(reward))
        if self._keep is None or len(self.frames) < self._keep:
            self.frames.append(np.array(self.observation))
            self.actions.append(stored)
            self._infos.append(_pick(self.info, self._info_keys, step))
        self.terminated = bool(terminated)
        self.truncated = bool(cut) or (step >= self._max_steps and not self.terminated)
        self.over = self.terminated or self.truncated

    def stored_actions(self) -> np.ndarray:
        """Those between the frames that are kept."""
        shape = (len(self.actions), *self.codec.stored_shape)
        return np.array(self.actions, self.codec.stored_dtype).reshape(shape)

    def episode(self) -> Episode:
        """All of it, once it is over."""
        ends = np.zeros((2, len(self.rewards)), bool)
        ends[:, -1] = self.terminated, self.truncated
        return Episode(
            frames=np.stack(self.frames),
            actions=np.stack(self.actions),
            rewards=np.array(self.rewards, np.float32),
            terminated=ends[0],
            truncated=ends[1],
            infos={key: np.stack([values[key] for values in self._infos]) for key in self._info_keys},
            seed=self.seed or 0,
        )


def record_episode(
    env: gym.Env, policy: Policy, seed: int, max_steps: int, info_keys: Mapping[str, Mapping[str, Any]]
) -> Episode:
    """Play one episode from `env.reset(seed=seed)` on, cut (as truncated) after `max_steps`.

    Raises EnvError when the env breaks its word: no uint8 frames, a missing info or one of another shape, a reward that
    is not a finite number.
    """
    running = RunningEpisode(env, max_steps, info_keys=info_keys)
    policy.reset()
    inform = policy.inform if isinstance(policy, InformedPolicy) else None
    running.begin(seed)
    _check_frame(running.observation)
    while not running.over:
        if inform is not None:
            inform(running.info)
        running.step(running.codec.store(policy.act(running.observation)))
        _check_frame(running.observation)
    return running.episode()


def find_info_keys(env: gym.Env, seed: int, steps: int = 16) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The infos that can be stored, key -> {"shape", "dtype"}, and the sorted keys that cannot.

    Tried for a few steps: to be stored, an info must be there each time, numeric, and of one shape.
    """
    infos = [env.reset(seed=seed)[1]]
    codec = ActionCodec(env.action_space)
    still = codec.restore(codec.decode(np.zeros(codec.size)))
    for _ in range(steps):
        _, _, terminated, truncated, info = env.step(still)
        infos.append(info)
        if terminated or truncated:
            break
    found = sorted({key for info in infos for key in info})
    specs = {key: spec for key in found if (spec := _spec([info.get(key) for info in infos])) is not None}
    return specs, [key for key in found if key not in specs]


def try_policy(policy: Policy, env: gym.Env, seed: int) -> None:
    """Let `policy` act once. Raises what it raises, or WorldModelError when its action is not one of the space."""
    policy.reset()
    observation, info = env.reset(seed=seed)
    if isinstance(policy, InformedPolicy):
        policy.inform(info)
    ActionCodec(env.action_space).check(policy.act(observation))


def checked_episodes(episodes: Iterable[Episode], env_id: str) -> Iterator[Episode]:
    """Pass episodes on, but raise EnvError when a frame is all one colour, or when all frames of all are the same."""
    first: np.ndarray | None = None
    moved = False
    for episode in episodes:
        _reject_blank(episode, env_id)
        first = episode.frames[0] if first is None else first
        moved = moved or bool((episode.frames != first).any())
        yield episode
    if not moved:
        raise EnvError(
            f"{env_id} draws the same picture whatever happens: try another env.renderer, or set "
            "allow_blank_frames=true if the environment really looks so."
        )


def _reject_blank(episode: Episode, env_id: str) -> None:
    blank = np.flatnonzero((episode.frames == episode.frames[:, :1, :1]).all(axis=(1, 2, 3)))
    if len(blank):
        colour = episode.frames[blank[0], 0, 0].tolist()
        raise EnvError(
            f"{env_id} drew a frame of one colour {colour} (frame {blank[0]} of the episode with seed {episode.seed}; "
            f"{len(blank)} of its {len(episode.frames)} frames are so), as a broken OpenGL does: try "
            "env.renderer=raycast, or set allow_blank_frames=true if the environment really looks so."
        )


def _check_frame(observation: np.ndarray) -> None:
    if observation.dtype != np.uint8 or observation.ndim != 3:
        raise EnvError(f"Observations must be uint8 [H, W, C], got {observation.dtype} {observation.shape}.")


def _pick(info: Mapping[str, Any], keys: Mapping[str, Mapping[str, Any]], step: int) -> dict[str, np.ndarray]:
    picked = {}
    for key, spec in keys.items():
        remedy = f"leave it out with ignore_info=[{key}]"
        if key not in info:
            raise EnvError(
                f"The info {key!r} is missing at step {step} though it was there before: {remedy}."
            )
        picked[key] = np.array(info[key], spec["dtype"])
        if list(picked[key].shape) != list(spec["shape"]):
            shapes = f"{picked[key].shape} at step {step} instead of {tuple(spec['shape'])}"
            raise EnvError(f"The info {key!r} has shape {shapes}: {remedy}.")
    return picked


def _spec(values: list[Any]) -> dict[str, Any] | None:
    numeric = [
        np.asarray(value) for value in values if isinstance(value, int | float | np.ndarray | np.generic)
    ]
    numeric = [array for array in numeric if array.dtype.kind in "biuf"]
    if len(numeric) < len(values) or len({array.shape for array in numeric}) > 1:
        return None
    return {"shape": list(numeric[0].shape), "dtype": str(np.result_type(*numeric))}
