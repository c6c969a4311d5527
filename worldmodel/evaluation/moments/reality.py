"""Playing different futures from one moment of a recorded episode in the real environment."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.wrappers import TimeLimit
from torch import Tensor

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.episode import Episode
from worldmodel.errors import EnvError
from worldmodel.evaluation.moments.futures import Futures
from worldmodel.progress import progress
from worldmodel.spaces import ActionCodec

Restore = Callable[[gym.Env[Any, Any], Episode, int], np.ndarray]


class Simulator:
    """The real environment of a dataset, brought back to moments of its episodes; a context manager.

    It comes back by the recorded simulator state (`set_state` of the environment takes info["state"]), or by replaying
    the episode's own actions from its seed; `restored_by` says which, "state" or "replay", once it has come back.
    """

    def __init__(self, dataset: EpisodeDataset, env: gym.Env[Any, Any] | None = None) -> None:
        """env: one of the dataset's environments that is there already, which it then closes."""
        self.env = dataset.env.make() if env is None else env
        self.restored_by = ""
        self._dataset, self._codec = dataset, ActionCodec(self.env.action_space)
        self._restore: Restore | None = None
        self._episode: tuple[int, Episode] | None = None
        self._kept: _Kept | None = None

    def __enter__(self) -> Simulator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.env.close()

    def bring_back(self, number: int, step: int, seed: int | None = None) -> None:
        """Bring it to frame `step` of episode `number`; with a seed, what is chance from there on follows from it.

        Raises EnvError when the picture does not come out as it was recorded.
        """
        episode = self._read(number)
        if self._kept is not None and self._kept.at == (number, step):
            self._kept.restore(self.env)
            if seed is not None:
                self._reseed(seed)
            return
        if self._restore is None:
            self.restored_by, self._restore = _way_back(self.env, self._dataset.env.id, episode, step)
        if not np.array_equal(self._restore(self.env, episode, step), episode.frames[step]):
            raise EnvError(_not_restorable(self._dataset.env.id))
        both = self.env.has_wrapper_attr("get_state") and self.env.has_wrapper_attr("set_state")
        self._kept = _Kept.of(self.env, (number, step)) if both and self.restored_by == "replay" else None
        if seed is not None:
            self._reseed(seed)

    def play(self, stored: np.ndarray, past_limit: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Go on under actions as stored [h,...]: frames uint8 [h,H,W,C] and alive bool [h], False after the step that
        ended the episode (frames then repeat the last one). past_limit: a time limit is no end."""
        frames = np.empty((len(stored), *self._dataset.frame_shape), np.uint8)
        alive = np.zeros(len(stored), bool)
        for step, action in enumerate(stored):
            frames[step:], _, terminated, truncated, _ = self.env.step(self._codec.restore(action))
            alive[step] = True
            if terminated or (truncated and not past_limit):
                break
        return frames, alive

    def _reseed(self, seed: int) -> None:
        self.env.unwrapped.np_random = np.random.default_rng(seed)
        if self.env.has_wrapper_attr("reseed"):  # chance that is a part of the state
            self.env.get_wrapper_attr("reseed")(seed)

    def _read(self, number: int) -> Episode:
        if self._episode is None or self._episode[0] != number:
            self._episode = number, self._dataset.episode(number)
        return self._episode[1]


@dataclass(frozen=True)
class _Kept:
    """A moment that was replayed, by its own state: replaying thousands of steps for each branch would take hours."""

    at: tuple[int, int]
    state: Any
    chance: Any
    limits: list[tuple[Any, int]]  # wrappers that count steps, which no state knows

    @classmethod
    def of(cls, env: gym.Env[Any, Any], at: tuple[int, int]) -> _Kept:
        limits, layer = [], env
        while isinstance(layer, gym.Wrapper):
            if isinstance(layer, TimeLimit):
                limits.append((layer, int(layer._elapsed_steps or 0)))
            layer = layer.env
        chance = copy.deepcopy(env.unwrapped.np_random.bit_generator.state)
        return cls(at, env.get_wrapper_attr("get_state")(), chance, limits)

    def restore(self, env: gym.Env[Any, Any]) -> None:
        env.get_wrapper_attr("set_state")(self.state)
        env.unwrapped.np_random.bit_generator.state = self.chance
        for limit, steps in self.limits:
            limit._elapsed_steps = steps


@dataclass(frozen=True)
class RealBranches:
    """What really follows B moments under K action sequences: frames uint8 [B,K,h,H,W,C]; alive bool [B,K,h], False
    after the step that ended the episode (frames then repeat the last one); restored_by: "state" or "replay"."""

    frames: Tensor
    alive: Tensor
    restored_by: str


def real_branches(
    dataset: EpisodeDataset,
    futures: Futures,
    actions: Tensor,
    seeds: Tensor | None = None,
    desc: str = "playing the same in reality",
) -> RealBranches:
    """Play each of the K encoded action sequences [B,K,h,D] from each context's last frame.

    seeds: int64 [B,K], from which all chance follows; None leaves it as it was recorded. Raises EnvError when the
    environment cannot be brought back (see Simulator).
    """
    batch, branches, horizon = actions.shape[:3]
    frames = np.empty((batch, branches, horizon, *dataset.frame_shape), np.uint8)
    alive = np.ones((batch, branches, horizon), bool)
    decoded = dataset.codec.decode(actions.numpy())
    bar = progress(total=batch * branches, desc=desc, unit="rollout")
    with Simulator(dataset) as simulator, bar:
        for b, (number, step) in enumerate(moments(futures)):
            for k in range(branches):
                simulator.bring_back(number, step, None if seeds is None else int(seeds[b, k]))
                frames[b, k], alive[b, k] = simulator.play(decoded[b, k])
                bar.update()
    return RealBranches(torch.from_numpy(frames), torch.from_numpy(alive), simulator.restored_by)


def moments(futures: Futures) -> Sequence[tuple[int, int]]:
    """Episode and frame number of each context's last frame."""
    last = futures.starts + futures.context_actions.shape[1]
    return list(zip(futures.episodes.tolist(), last.tolist(), strict=True))


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
