"""What the vector-environment checker checks: how to make the environment, and how it is played."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from worldmodel.envs.checker.rollout import (
    Actions,
    Moment,
    Tolerance,
    autoreset_mode,
    draw_actions,
    first_difference,
    play,
    timeline,
)
from worldmodel.errors import EnvError


class VectorEnvError(EnvError):
    """A vector environment breaks its contract; `check` is the name of the check that found it."""

    def __init__(self, message: str, check: str = "") -> None:
        super().__init__(f"{check}: {message}" if check else message)
        self.check = check


def require(holds: Any, message: str) -> None:
    """Raise VectorEnvError unless it holds."""
    if not holds:
        raise VectorEnvError(message)


@dataclass(frozen=True)
class Subject:
    """The environment under check. make(n) makes a new one of n members, make_single a new single one."""

    make: Callable[[int], VectorEnv]
    make_single: Callable[[], gym.Env] | None
    num_envs: int
    steps: int
    seed: int
    tolerance: Tolerance

    @contextmanager
    def env(self, num_envs: int | None = None) -> Iterator[VectorEnv]:
        """A new environment, closed afterwards."""
        with closing(self.make(self.num_envs if num_envs is None else num_envs)) as env:
            yield env

    @cached_property
    def spaces(self) -> tuple[gym.Space, gym.Space]:
        """The single observation and action space."""
        with self.env() as env:
            return env.single_observation_space, env.single_action_space

    @cached_property
    def mode(self) -> AutoresetMode:
        with self.env() as env:
            return autoreset_mode(env)

    @cached_property
    def actions(self) -> Actions:
        """The actions of the reference rollout."""
        return draw_actions(self.spaces[1], self.steps, self.num_envs, self.seed)

    @cached_property
    def other_actions(self) -> Actions:
        return draw_actions(self.spaces[1], self.steps, self.num_envs, self.seed + 1)

    @cached_property
    def reference(self) -> list[Moment]:
        """A new environment, reset with the seed and played through the actions."""
        return self.play(self.actions, seed=self.seed)

    @cached_property
    def repetition(self) -> list[Moment]:
        """The reference rollout, once more in another new environment."""
        return self.play(self.actions, seed=self.seed)

    @cached_property
    def sync_reference(self) -> list[Moment]:
        """The reference rollout in a SyncVectorEnv over single environments."""
        assert self.make_single is not None
        singles = [self.make_single] * self.num_envs
        with closing(SyncVectorEnv(singles, autoreset_mode=self.mode)) as env:
            return play(env, self.actions, seed=self.seed)

    @property
    def seeds(self) -> list[int]:
        """What an int seed stands for: one more for each member."""
        return [self.seed + i for i in range(self.num_envs)]

    def play(self, actions: Actions, **reset: Any) -> list[Moment]:
        """A new environment reset so and played through these actions; its size is theirs."""
        with self.env(len(actions[0])) as env:
            return play(env, actions, **reset)

    def same(
        self,
        left: Sequence[Moment],
        right: Sequence[Moment],
        tolerance: Tolerance,
        message: str,
        members: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        """Require that members of two rollouts met the same: pairs (of the left, of the right), None is all."""
        for i, j in members or [(i, i) for i in range(self.num_envs)]:
            found = first_difference(timeline(left, i), timeline(right, j), tolerance)
            require(found is None, f"{message}: member {i} {found}.")
