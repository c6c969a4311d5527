"""Checks of what a vector environment says of itself and returns: spaces, metadata, infos, copies, closing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from worldmodel.envs.checker.rollout import batched, first
from worldmodel.envs.checker.subject import Subject, require


def check_metadata(subject: Subject) -> None:
    """The autoreset mode stands in the metadata, as an AutoresetMode, and the attribute, if any, agrees."""
    with subject.env() as env:
        mode = env.metadata.get("autoreset_mode")
        require(
            isinstance(mode, AutoresetMode),
            f"metadata['autoreset_mode'] is {mode!r}: give one of gymnasium.vector.AutoresetMode.",
        )
        attribute = getattr(env, "autoreset_mode", mode)
        require(attribute == mode, f"metadata says {mode}, but env.autoreset_mode is {attribute!r}.")


def check_spaces(subject: Subject) -> None:
    """num_envs is what was asked for, and the spaces are the single ones batched, at any size."""
    for size in (1, subject.num_envs):
        with subject.env(size) as env:
            require(env.num_envs == size, f"{size} members were asked for, but num_envs is {env.num_envs}.")
            for name in ("observation_space", "action_space"):
                batch, single = getattr(env, name), getattr(env, f"single_{name}")
                expected = batch_space(single, size)
                require(
                    batch == expected,
                    f"{name} is {batch}, but {size} times the single one is {expected}: use batch_space.",
                )


def check_reset(subject: Subject) -> None:
    """reset returns (observations of the space, dict), with no argument, empty options and mid-episode."""
    with subject.env() as env:
        ways: list[dict[str, Any]] = [{"seed": subject.seed}, {}, {"options": {}}]
        for arguments in ways:
            told = ", ".join(f"{key}={value}" for key, value in arguments.items())
            result = env.reset(**arguments)
            require(
                isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict),
                f"reset({told}) must return (observations, infos), got {_kind(result)}.",
            )
            _require_observations(env, result[0], f"reset({told})")
            env.step(batched(env.single_action_space, subject.actions[0]))


def check_step(subject: Subject) -> None:
    """step returns observations of the space, float rewards and bool flags, each an array [N] without NaN."""
    with subject.env() as env:
        first(env, seed=subject.seed)
        ended = np.zeros(env.num_envs, bool)
        for actions in subject.actions:
            if ended.any() and env.metadata["autoreset_mode"] == AutoresetMode.DISABLED:
                env.reset(options={"reset_mask": ended})
            result = env.step(batched(env.single_action_space, actions))
            require(
                isinstance(result, tuple) and len(result) == 5 and isinstance(result[4], dict),
                "step must return (observations, rewards, terminations, truncations, infos), "
                f"got {_kind(result)}.",
            )
            obs, rewards, terminations, truncations, _ = result
            _require_observations(env, obs, "step")
            _require_array(rewards, env.num_envs, "f", "rewards")
            require(not np.isnan(rewards).any(), f"rewards hold NaN: {rewards}.")
            _require_array(terminations, env.num_envs, "b", "terminations")
            _require_array(truncations, env.num_envs, "b", "truncations")
            ended = terminations | truncations


def check_infos(subject: Subject) -> None:
    """Every info has one value for each member, and a mask `_key`, bool [N], of the members that it is told of."""
    for moment in subject.reference:
        for key, value in moment.infos.items():
            if key.startswith("_") and key[1:] in moment.infos:
                continue
            where = f"infos[{key!r}] of {moment.call}"
            mask = moment.infos.get(f"_{key}")
            require(
                _is_mask(mask, subject.num_envs),
                f"{where} needs a mask '_{key}', bool [{subject.num_envs}], got {_kind(mask)}.",
            )
            _require_values(value, subject.num_envs, where)


def check_render(subject: Subject) -> None:
    """With render_mode "rgb_array", render returns one uint8 [H,W,3] for each member."""
    with subject.env() as env:
        if env.render_mode != "rgb_array":
            return
        first(env, seed=subject.seed)
        frames: Any = env.render()
        require(
            isinstance(frames, tuple | list | np.ndarray) and len(frames) == env.num_envs,
            f"render must return a frame for each of the {env.num_envs} members, got {_kind(frames)}.",
        )
        for frame in frames:
            require(
                isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3,
                f"a rendered frame must be uint8 [H,W,3], got {_kind(frame)}.",
            )


def check_close(subject: Subject) -> None:
    """An environment may be closed twice, and knows that it is closed. Stepping it then raises, or works as before."""
    with subject.env() as env:
        first(env, seed=subject.seed)
        env.close()
        env.close()
        require(env.closed, "env.closed is False after close().")
        try:
            result = env.step(batched(env.single_action_space, subject.actions[0]))
        except Exception:  # any error is right: Gymnasium names none
            return
        whole = (
            isinstance(result, tuple) and len(result) == 5 and _in_arrays(env.observation_space, result[0])
        )
        require(whole, f"step after close returns {_kind(result)}: raise an error.")


def _require_observations(env: VectorEnv, obs: Any, call: str) -> None:
    require(
        _in_arrays(env.observation_space, obs) and obs in env.observation_space,
        f"the observations of {call} are not in observation_space {env.observation_space}: {_kind(obs)}.",
    )


def _in_arrays(space: gym.Space, obs: Any) -> bool:
    """Spaces take lists for arrays, with a warning; here an array is an array."""
    if isinstance(space, spaces.Dict):
        return isinstance(obs, dict) and all(
            key in obs and _in_arrays(part, obs[key]) for key, part in space.items()
        )
    if isinstance(space, spaces.Tuple):
        return isinstance(obs, tuple) and all(map(_in_arrays, space, obs))
    return isinstance(obs, np.ndarray) or not isinstance(
        space, spaces.Box | spaces.MultiDiscrete | spaces.MultiBinary
    )


def _require_array(value: Any, size: int, kind: str, name: str) -> None:
    wanted = "float" if kind == "f" else "bool"
    require(
        isinstance(value, np.ndarray) and value.shape == (size,) and value.dtype.kind == kind,
        f"{name} must be a NumPy array of {wanted} [{size}], got {_kind(value)}.",
    )


def _require_values(value: Any, size: int, where: str) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _require_values(item, size, f"{where}[{key!r}]")
        return
    require(
        isinstance(value, np.ndarray) and len(value) == size,
        f"{where} must be an array of {size} values, one for each member, got {_kind(value)}.",
    )


def _is_mask(value: Any, size: int) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == bool and value.shape == (size,)


def _kind(value: Any) -> str:
    """A value in a few words."""
    match value:
        case np.ndarray():
            return f"an array of {value.dtype} {list(value.shape)}"
        case tuple() | list():
            return f"a {type(value).__name__} of {len(value)}"
        case Mapping():
            return f"a {type(value).__name__} with the keys {list(value)}"
    return f"{value!r} of type {type(value).__name__}"
