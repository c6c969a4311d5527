"""Checks of who owns the arrays that go into a vector environment and come out of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper

from worldmodel.envs.checker.rollout import EXACT, difference, play
from worldmodel.envs.checker.subject import Subject, require


def check_results_kept(subject: Subject) -> None:
    """What a call returned is not changed by later calls (SyncVectorEnv(copy=False) does not promise this)."""
    with subject.env() as env:
        holding = _Holding(env)
        play(holding, subject.actions, seed=subject.seed)
    for number, (now, then) in enumerate(zip(holding.held, holding.copies, strict=True)):
        found = difference(now, then, EXACT, "it")
        require(found is None, f"what call {number} returned was changed by a later call: {found}.")


def check_results_given(subject: Subject) -> None:
    """Writing into returned observations, rewards and flags does not reach into the environment."""
    with subject.env() as env:
        spoilt = play(_Spoiling(env), subject.actions, seed=subject.seed)
    message = "writing into what was returned changes the environment"
    subject.same(spoilt, subject.reference, EXACT, message)


def check_actions_borrowed(subject: Subject) -> None:
    """Actions are neither changed nor kept: the caller may write the next ones into the same arrays."""
    with subject.env() as env:
        reused = play(_Reusing(env), subject.actions, seed=subject.seed)
    subject.same(reused, subject.reference, EXACT, "writing into actions after the step changes what follows")


class _Holding(VectorWrapper):
    """Keeps what is returned, and copies of it."""

    def __init__(self, env: VectorEnv) -> None:
        super().__init__(env)
        self.held: list[Any] = []
        self.copies: list[Any] = []

    def reset(self, **arguments: Any) -> Any:
        return self._keep(self.env.reset(**arguments))

    def step(self, actions: Any) -> Any:
        return self._keep(self.env.step(actions))

    def _keep(self, result: Any) -> Any:
        self.held.append(result)
        self.copies.append(copy.deepcopy(result))
        return result


class _Spoiling(VectorWrapper):
    """Writes into what was returned last before the next call."""

    _last: tuple[Any, ...] = ()

    def reset(self, **arguments: Any) -> Any:
        _spoil(self._last)
        result = self.env.reset(**arguments)
        self._last = result[:1]
        return result

    def step(self, actions: Any) -> Any:
        _spoil(self._last)
        result = self.env.step(actions)
        self._last = result[:4]
        return result


class _Reusing(VectorWrapper):
    """Hands actions over, and writes into them afterwards."""

    def step(self, actions: Any) -> Any:
        before = copy.deepcopy(actions)
        result = self.env.step(actions)
        found = difference(actions, before, EXACT, "the action array")
        require(found is None, f"step changes its actions: {found}.")
        _spoil(actions)
        return result


def _spoil(value: Any) -> None:
    """Write other numbers into every array that can be written."""
    if isinstance(value, Mapping):
        _spoil(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for item in value:
            _spoil(item)
    elif isinstance(value, np.ndarray) and value.flags.writeable and value.dtype.kind in "biuf":
        value[...] = ~value if value.dtype.kind == "b" else value + value.dtype.type(1)
