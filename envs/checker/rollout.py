"""Rollouts of a vector environment as the checker sees them: copies of what every call returned, told by members."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import concatenate, create_empty_array, iterate

Actions = list[list[Any]]  # [steps][members], each an action of the single space


@dataclass(frozen=True)
class Tolerance:
    """How far two numbers may differ: floats absolutely and relatively, uint8 in levels, all others not at all."""

    floats: float = 0.0
    uint8: int = 0


EXACT = Tolerance()


@dataclass(frozen=True)
class Moment:
    """What one call returned. active: bool [N], the members that it began or stepped; obs: one for each member."""

    call: str
    active: np.ndarray
    obs: list[Any]
    infos: dict[str, Any]
    rewards: np.ndarray | None = None
    terminations: np.ndarray | None = None
    truncations: np.ndarray | None = None

    @property
    def ended(self) -> np.ndarray:
        """bool [N]: whose episode ended here; nobody's at a reset."""
        if self.terminations is None or self.truncations is None:
            return np.zeros(len(self.active), bool)
        return self.terminations | self.truncations


def autoreset_mode(env: VectorEnv) -> AutoresetMode:
    """The mode in the environment's metadata."""
    mode: AutoresetMode = env.metadata["autoreset_mode"]
    return mode


def draw_actions(space: gym.Space, steps: int, members: int, seed: int) -> Actions:
    """Random actions of the single action space, from a stream of our own."""
    space = copy.deepcopy(space)
    space.seed(seed)
    return [[space.sample() for _ in range(members)] for _ in range(steps)]


def batched(space: gym.Space, actions: Sequence[Any]) -> Any:
    """One action for each member, as a vector environment takes them."""
    empty: Any = create_empty_array(space, len(actions))
    return concatenate(space, actions, empty)


def play(env: VectorEnv, actions: Actions, **reset: Any) -> list[Moment]:
    """Reset with these arguments, then step; without autoreset, ended members are reset before the next step."""
    return list(go_on(env, actions, [first(env, **reset)]))


def first(env: VectorEnv, **reset: Any) -> Moment:
    """The moment of a reset of all members, or of those in its reset_mask."""
    mask = (reset.get("options") or {}).get("reset_mask", np.ones(env.num_envs, bool)).copy()
    obs, infos = env.reset(**reset)
    return Moment("reset", mask, _by_member(env, obs), copy.deepcopy(infos))


def go_on(env: VectorEnv, actions: Actions, moments: list[Moment]) -> list[Moment]:
    """`moments`, and those of more steps."""
    moments = list(moments)
    disabled = autoreset_mode(env) == AutoresetMode.DISABLED
    for row in actions:
        ended = moments[-1].ended
        if disabled and ended.any():
            moments.append(first(env, options={"reset_mask": ended.copy()}))
        moments.append(step(env, row, f"step {sum(m.rewards is not None for m in moments) + 1}"))
    return moments


def step(env: VectorEnv, actions: Sequence[Any], call: str = "step") -> Moment:
    """The moment of a step."""
    obs, *values, infos = env.step(batched(env.single_action_space, actions))
    rewards, terminations, truncations = (np.array(value) for value in values)
    everyone = np.ones(env.num_envs, bool)
    rows = _by_member(env, obs)
    return Moment(call, everyone, rows, copy.deepcopy(infos), rewards, terminations, truncations)


def timeline(moments: Sequence[Moment], member: int) -> list[tuple[str, dict[str, Any]]]:
    """What one member met: (call, its observation, reward, terminated, truncated, final observation)."""
    rows = []
    for moment in moments:
        if not moment.active[member]:
            continue
        row: dict[str, Any] = {"observation": moment.obs[member]}
        if moment.rewards is not None:
            row["reward"] = moment.rewards[member]
            row["terminated"] = moment.terminations[member]  # type: ignore[index]
            row["truncated"] = moment.truncations[member]  # type: ignore[index]
        if moment.ended[member] and "final_obs" in moment.infos:
            row["final observation"] = moment.infos["final_obs"][member]
        rows.append((moment.call, row))
    return rows


def member_info(infos: Mapping[str, Any], member: int) -> dict[str, Any]:
    """The info of one member: every key whose mask is true for it, but for its final observation."""
    told = {}
    for key, value in infos.items():
        mask = infos.get(f"_{key}")
        is_mask = key.startswith("_") and key[1:] in infos
        if is_mask or key == "final_obs" or (mask is not None and not mask[member]):
            continue
        told[key] = member_info(value, member) if isinstance(value, Mapping) else value[member]
    return told


def first_difference(left: Sequence[Any], right: Sequence[Any], tolerance: Tolerance) -> str | None:
    """Where two timelines part, in words; None when they agree."""
    if len(left) != len(right):
        return f"one has {len(left)} calls and the other {len(right)}"
    for (call, one), (_, other) in zip(left, right, strict=True):
        if (found := difference(one, other, tolerance)) is not None:
            return f"at {call}, {found}"
    return None


def difference(one: Any, other: Any, tolerance: Tolerance, name: str = "") -> str | None:
    """How two observations, infos or parts of them differ, in words; None when they agree. NaN equals NaN."""
    one, other = (
        list(value) if isinstance(value, np.ndarray) and value.dtype == object else value
        for value in (one, other)
    )
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if set(one) != set(other):
            return f"{name or 'what is told'} has the keys {sorted(one)} and {sorted(other)}"
        parts = ((f"{name}[{key!r}]" if name else str(key), one[key], other[key]) for key in one)
    elif isinstance(one, tuple | list) and isinstance(other, tuple | list):
        if len(one) != len(other):
            return f"{name} has {len(one)} parts and {len(other)}"
        parts = ((f"{name}[{i}]", a, b) for i, (a, b) in enumerate(zip(one, other, strict=True)))
    else:
        return None if _same(one, other, tolerance) else f"{name} differs: {_short(one)} and {_short(other)}"
    return next((found for key, a, b in parts if (found := difference(a, b, tolerance, key))), None)


def _by_member(env: VectorEnv, obs: Any) -> list[Any]:
    return list(iterate(env.observation_space, copy.deepcopy(obs)))


def _same(one: Any, other: Any, tolerance: Tolerance) -> bool:
    numbers = np.ndarray | np.generic | float | int
    if not isinstance(one, numbers) or not isinstance(other, numbers):
        return type(one) is type(other) and bool(np.all(one == other))
    a, b = np.asarray(one), np.asarray(other)
    if a.shape != b.shape:
        return False
    if a.dtype.kind == "f" and b.dtype.kind == "f":
        return bool(np.allclose(a, b, tolerance.floats, tolerance.floats, equal_nan=True))
    if a.dtype == b.dtype == np.uint8:
        return bool((np.abs(a.astype(int) - b.astype(int)) <= tolerance.uint8).all())
    return bool(np.array_equal(a, b))


def _short(value: Any) -> str:
    plain = value.item() if isinstance(value, np.generic) else value
    text = " ".join(repr(plain).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
