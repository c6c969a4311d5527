"""Any vector environment of Gymnasium, a dream's first of all, as the VecEnv that Stable-Baselines3 learns in."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper

from worldmodel.agents.sb3_policy import counted_from_zero, first_action
from worldmodel.errors import WorldModelError

try:
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as error:
    raise WorldModelError(
        "The bridge to Stable-Baselines3 needs an extra: pip install 'worldmodel[sb3]'."
    ) from error

Indices = int | Iterable[int] | None


class SB3VecEnv(VecEnv):
    """N environments that step in one call, so N dreams in one batched forward pass, for Stable-Baselines3.

    envs: a VectorEnv with SAME_STEP autoreset, wrapped or not; it is closed with this one.
    Discrete actions count from 0 here, whatever the environment's own first one is: Stable-Baselines3 knows no other.
    Where an episode ends, info is that of its last step, with `terminal_observation` and `TimeLimit.truncated`, and
    the observation is already the next episode's first, whose info is in `reset_infos`.
    """

    def __init__(self, envs: VectorEnv) -> None:
        if not isinstance(envs, VectorEnv):
            raise WorldModelError(
                f"SB3VecEnv got a {type(envs).__name__}: give the vector environment that gym.make_vec returns."
            )
        mode = envs.metadata.get("autoreset_mode")
        if mode != AutoresetMode.SAME_STEP:
            raise WorldModelError(
                f"The autoreset mode of the environments is {getattr(mode, 'name', mode)}, Stable-Baselines3 needs "
                "AutoresetMode.SAME_STEP: give it where the environments are made."
            )
        self.envs = envs
        self._starts = first_action(envs.single_action_space)
        self._actions: np.ndarray | None = None
        self._batch_options: dict[str, Any] | None = None
        super().__init__(
            envs.num_envs, envs.single_observation_space, counted_from_zero(envs.single_action_space)
        )

    def reset(self) -> Any:
        """First observations [N,...]; uses up what seed() and set_options() were given."""
        seeds: Any = None if all(seed is None for seed in self._seeds) else list(self._seeds)
        observations, infos = self.envs.reset(seed=seeds, options=self._batch_options)
        self._reset_seeds()
        self._batch_options = None
        self.reset_infos = [_of_one(infos, index, self.num_envs) for index in range(self.num_envs)]
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions [N,...] for step_wait."""
        self._actions = np.asarray(actions, self.action_space.dtype) + self._starts

    def step_wait(self) -> tuple[Any, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """(observations, rewards float32 [N], dones bool [N], infos)."""
        observations, rewards, terminated, truncated, infos = self.envs.step(self._actions)
        dones = np.logical_or(terminated, truncated)
        told = [_of_one(infos, index, self.num_envs) for index in range(self.num_envs)]
        for index in range(self.num_envs):
            if dones[index]:
                self.reset_infos[index], told[index] = _begun_and_ended(told[index])
            told[index]["TimeLimit.truncated"] = bool(truncated[index] and not terminated[index])
        return observations, rewards.astype(np.float32), dones, told

    def close(self) -> None:
        """Close the environments."""
        self.envs.close()

    def set_options(self, options: list[dict[str, Any]] | dict[str, Any] | None = None) -> None:
        """Options of the next reset; one dict for all, which may itself hold a value for each.

        What is in it is not copied: {"env": live} is the environment itself, as it is when reset() is called.
        """
        if isinstance(options, list):
            raise WorldModelError(
                "Options came as a list of dicts: the environments begin together, so give one dict for all of them."
            )
        self._batch_options = copy.copy(options)

    def get_images(self) -> Sequence[np.ndarray | None]:
        """A picture of each environment; None without render_mode "rgb_array"."""
        images: Any = self.envs.render()
        return [None] * self.num_envs if images is None else list(images)

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """The attribute in each environment; one that belongs to the whole batch is the same for all."""
        values = self._values(attr_name)
        return [values[index] for index in self._chosen(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Set an attribute; of some of the environments only where each has attributes of its own."""
        chosen = self._chosen(indices)
        base: Any = self.envs.unwrapped
        if hasattr(base, "set_attr"):
            values = [value] * self.num_envs
            if len(chosen) < self.num_envs:
                values = [value if i in chosen else old for i, old in enumerate(base.get_attr(attr_name))]
            base.set_attr(attr_name, values)
            return
        self._all_of_them(chosen, f"attribute {attr_name!r}")
        setattr(self._owner(attr_name), attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Indices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of all environments at once; a tuple of N is one result for each, else all share the result."""
        self._all_of_them(self._chosen(indices), f"method {method_name!r}")
        if hasattr(self.envs.unwrapped, "call"):
            return list(self.envs.unwrapped.call(method_name, *method_args, **method_kwargs))
        result = getattr(self._owner(method_name), method_name)(*method_args, **method_kwargs)
        each = isinstance(result, tuple) and len(result) == self.num_envs
        return list(result) if each else [result] * self.num_envs

    def env_is_wrapped(self, wrapper_class: type, indices: Indices = None) -> list[bool]:
        """Whether the vector environment, or the single ones of a SyncVectorEnv, are wrapped with this class."""
        around = any(isinstance(layer, wrapper_class) for layer in _layers(self.envs))
        singles = getattr(self.envs.unwrapped, "envs", [None] * self.num_envs)
        return [
            around or any(isinstance(layer, wrapper_class) for layer in _layers(singles[index]))
            for index in self._chosen(indices)
        ]

    def _values(self, name: str) -> list[Any]:
        base = self.envs.unwrapped
        if hasattr(base, "get_attr"):
            return list(base.get_attr(name))
        return [getattr(self._owner(name), name)] * self.num_envs

    def _owner(self, name: str) -> Any:
        return next((layer for layer in _layers(self.envs) if hasattr(layer, name)), self.envs.unwrapped)

    def _chosen(self, indices: Indices) -> list[int]:
        return [range(self.num_envs)[index] for index in self._get_indices(indices)]

    def _all_of_them(self, chosen: list[int], what: str) -> None:
        if len(chosen) < self.num_envs:
            raise WorldModelError(
                f"The {what} belongs to the whole batch of {self.num_envs} environments: leave indices out."
            )


def _of_one(infos: Mapping[str, Any], index: int, number: int) -> dict[str, Any]:
    """The info of one environment out of a vector environment's, which pairs each `key` with a mask `_key`."""
    info = {}
    for key, values in infos.items():
        is_mask = key.startswith("_") and key[1:] in infos
        mask = infos.get(f"_{key}")
        if is_mask or (mask is not None and not mask[index]):
            continue
        if isinstance(values, Mapping):
            info[key] = _of_one(values, index, number)
        else:
            batched = isinstance(values, np.ndarray | list | tuple) and len(values) == number
            info[key] = values[index] if batched else values
    return info


def _begun_and_ended(info: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Info of the first step of the next episode, and of the last step of the one that ended.

    A vector wrapper such as RecordEpisodeStatistics writes what it knows of the ended one beside the next one's.
    """
    last, final_info = info.pop("final_obs"), info.pop("final_info")
    return info, {**info, **final_info, "terminal_observation": last}


def _layers(env: Any) -> Iterator[Any]:
    """The wrappers around an environment, outermost first, and it."""
    while isinstance(env, VectorWrapper | gym.Wrapper):
        yield env
        env = env.env
    yield env
