"""Playing different futures from one moment of a recorded episode in the real environment."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.episode import Episode
from worldmodel.errors import EnvError
from worldmodel.evaluation.futures import Futures
from worldmodel.progress import progress
from worldmodel.spaces import ActionCodec

Restore = Callable[[gym.Env[Any, Any], Episode, int], np.ndarray]


@dataclass(frozen=True)
class RealBranches:
    """What really follows B moments under K action sequences: frames uint8 [B,K,h,H,W,C]; alive bool [B,K,h], False
    after the step that ended the episode (frames then repeat the last one); restored_by: "state" or "replay"."""

    frames: Tensor
    alive: Tensor
    restored_by: str


def real_branches(dataset: EpisodeDataset, futures: Futures, actions: Tensor) -> RealBranches:
    """Play each of the K encoded action sequences [B,K,h,D] from each context's last frame.

    The environment is brought there by the recorded simulator state, or by replaying the episode's own actions from its
    seed, and the picture must come out as it was recorded. Raises EnvError when neither gives that picture.
    """
    env = dataset.env.make()
    try:
        return _play_all(env, dataset, futures, actions)
    finally:
        env.close()


def _play_all(
    env: gym.Env[Any, Any], dataset: EpisodeDataset, futures: Futures, actions: Tensor
) -> RealBranches:
    context_steps = futures.context_actions.shape[1]
    batch, branches, horizon = actions.shape[:3]
    frames = np.empty((batch, branches, horizon, *dataset.frame_shape), np.uint8)
    alive = np.ones((batch, branches, horizon), bool)
    decoded = dataset.codec.decode(actions.numpy())
    moments = list(zip(futures.episodes.tolist(), (futures.starts + context_steps).tolist(), strict=True))
    name, restore = _way_back(env, dataset.env.id, dataset.episode(moments[0][0]), moments[0][1])
    with progress(total=batch * branches, desc="playing the same in reality", unit="rollout") as bar:
        for b, (number, step) in enumerate(moments):
            episode = dataset.episode(number)
            for k in range(branches):
                if not np.array_equal(restore(env, episode, step), episode.frames[step]):
                    raise EnvError(_not_restorable(dataset.env.id))
                sequence = [dataset.codec.restore(action) for action in decoded[b, k]]
                frames[b, k], alive[b, k] = _play(env, sequence, dataset.frame_shape)
                bar.update()
    return RealBranches(torch.from_numpy(frames), torch.from_numpy(alive), name)


def _play(
    env: gym.Env[Any, Any], sequence: list[Any], shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    frames, alive = np.empty((len(sequence), *shape), np.uint8), np.zeros(len(sequence), bool)
    for step, action in enumerate(sequence):
        frames[step:], _, terminated, truncated, _ = env.step(action)
        alive[step] = True
        if terminated or truncated:
            break
    return frames, alive


def _way_back(env: gym.Env[Any, Any], env_id: str, episode: Episode, step: int) -> tuple[str, Restore]:
    """The cheaper way that gives the recorded picture. Raises EnvError when there is none."""
    ways: dict[str, Restore] = {"state": _set_state} if _takes_states(env, episode) else {}
    for name, restore in {**ways, "replay": _replay}.items():
        if np.array_equal(restore(env, episode, step), episode.frames[step]):
            return name, restore
    raise EnvError(_not_restorable(env_id))


def _takes_states(env: gym.Env[Any, Any], episode: Episode) -> bool:
    """Whether set_state takes the one vector that info["state"] holds; Gymnasium's own MuJoCo envs take two others."""
    if "state" not in episode.infos or not env.has_wrapper_attr("set_state"):
        return False
    return len(inspect.signature(env.get_wrapper_attr("set_state")).parameters) == 1


def _set_state(env: gym.Env[Any, Any], episode: Episode, step: int) -> np.ndarray:
    env.reset(seed=episode.seed)
    frame, _ = env.get_wrapper_attr("set_state")(episode.infos["state"][step])
    return np.array(frame)


def _replay(env: gym.Env[Any, Any], episode: Episode, step: int) -> np.ndarray:
    codec = ActionCodec(env.action_space)
    frame, _ = env.reset(seed=episode.seed)
    for stored in episode.actions[:step]:
        frame, *_ = env.step(codec.restore(stored))
    return np.array(frame)


def _not_restorable(env_id: str) -> str:
    return f"{env_id} does not come back to a recorded picture, neither by its state nor by replaying its actions."
