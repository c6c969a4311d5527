"""Recording one episode of a real environment."""

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


def record_episode(
    env: gym.Env, policy: Policy, seed: int, max_steps: int, info_keys: Mapping[str, Mapping[str, Any]]
) -> Episode:
    """Play one episode from `env.reset(seed=seed)` on, cut (as truncated) after `max_steps`.

    The infos named in `info_keys` (as find_info_keys gives them) are kept. Raises EnvError when the env breaks
    its word: no uint8 frames, a missing info or one of another shape, a reward that is not a finite number.
    """
    codec = ActionCodec(env.action_space)
    policy.reset()
    inform = policy.inform if isinstance(policy, InformedPolicy) else None
    observation, info = env.reset(seed=seed)
    frames, infos = [_frame(observation)], [_pick(info, info_keys, 0)]
    actions: list[np.ndarray] = []
    rewards: list[float] = []
    terminated: list[bool] = []
    truncated: list[bool] = []
    while not (terminated and (terminated[-1] or truncated[-1])):
        if inform is not None:
            inform(info)
        action = policy.act(observation)
        actions.append(codec.store(action))
        observation, reward, done, cut, info = env.step(action)
        step = len(actions)
        if not math.isfinite(reward):
            raise EnvError(
                f"The environment gave the reward {reward} at step {step} of the episode with seed {seed}."
            )
        frames.append(_frame(observation))
        infos.append(_pick(info, info_keys, step))
        rewards.append(float(reward))
        terminated.append(bool(done))
        truncated.append(bool(cut) or (step >= max_steps and not done))
    return Episode(
        frames=np.stack(frames),
        actions=np.stack(actions),
        rewards=np.array(rewards, np.float32),
        terminated=np.array(terminated, bool),
        truncated=np.array(truncated, bool),
        infos={key: np.stack([values[key] for values in infos]) for key in info_keys},
        seed=seed,
    )


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


def _frame(observation: np.ndarray) -> np.ndarray:
    if observation.dtype != np.uint8 or observation.ndim != 3:
        raise EnvError(f"Observations must be uint8 [H, W, C], got {observation.dtype} {observation.shape}.")
    return np.array(observation)


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
