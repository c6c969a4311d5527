"""The real simulator beside a dream: the same start, the same actions, brought back to any moment."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from worldmodel.errors import EnvError, explained
from worldmodel.evaluation.psnr import psnr
from worldmodel.model.world import WorldSpec
from worldmodel.play.future import Future, Moment

_TRIES = 8  # seeds in a row whose episode ends within the context


@dataclass(frozen=True)
class RealStep:
    """The simulator after an action. state: what set_state takes to come back, None where the env has none."""

    frame: np.ndarray
    reward: float
    terminated: bool
    state: Any
    info: dict[str, Any]

    def beside(self, moment: Moment) -> Moment:
        """`moment` with this frame beside it, and what brings the simulator back there."""
        return replace(
            moment, real=self.frame, real_ended=self.terminated, real_state=self.state, real_info=self.info
        )


class Simulator:
    """The environment of a world. Raises EnvError when it cannot be made here."""

    def __init__(self, world: WorldSpec) -> None:
        self._world, self._codec = world, world.codec
        self._env: gym.Env[Any, Any] = world.env.make()
        space = self._env.action_space
        if space != world.action_space:
            self._env.close()
            raise EnvError(
                f"The environment {world.env.id} has the action space {space} here, the world was trained with "
                f"{world.action_space}: install the version it was trained with."
            )
        self._seed = 0
        self._opening: list[np.ndarray] = []  # actions of the context
        self._has_state = False

    @property
    def action_names(self) -> list[str] | None:
        """The names of its Discrete actions (get_action_meanings), None where it has none."""
        if not self._env.has_wrapper_attr("get_action_meanings"):
            return None
        return [str(name) for name in self._env.get_wrapper_attr("get_action_meanings")()]

    def begin(self, seed: int, count: int) -> tuple[np.ndarray, np.ndarray, RealStep]:
        """The first `count` frames uint8 [n,H,W,C] under one action drawn by the seed, the n-1 stored actions, and the
        last step. Where the episode ends within them, the next seed is taken."""
        for attempt in range(_TRIES):
            self._seed = (seed + attempt) % 2**31  # some environments take 31 bits
            drawn = np.random.default_rng(self._seed).uniform(-1.0, 1.0, self._codec.size)
            self._opening = [self._codec.decode(drawn)] * (count - 1)
            frame, info = self._env.reset(seed=self._seed)
            steps = [RealStep(np.array(frame), 0.0, False, self._state(info), dict(info))]
            steps += [self.step(action) for action in self._opening]
            if any(step.terminated for step in steps):
                continue
            self._has_state = steps[-1].state is not None
            shape = (count - 1, *self._codec.stored_shape)
            actions = np.array(self._opening, self._codec.stored_dtype).reshape(shape)
            return np.stack([step.frame for step in steps]), actions, steps[-1]
        raise EnvError(
            f"The episodes of {self._world.env.id} end within {count} frames: no dream can start from them."
        )

    def step(self, stored: np.ndarray) -> RealStep:
        """Under an action as the codec stores it. A time limit is no end: the session counts its own steps."""
        frame, reward, terminated, truncated, info = self._env.step(self._codec.restore(stored))
        ended = bool(terminated) or (bool(truncated) and self._world.max_episode_steps is None)
        return RealStep(np.array(frame), float(reward), ended, self._state(info), dict(info))

    def restore(self, state: Any, actions: Sequence[np.ndarray], frame: np.ndarray) -> None:
        """To the moment with this state, or, where there is none, after these actions since `begin`. Raises EnvError
        when the picture there is not `frame`."""
        seen, _ = self._env.reset(seed=self._seed)
        if self._has_state:
            seen, _ = self._env.get_wrapper_attr("set_state")(state)
        else:
            for action in [*self._opening, *actions]:
                seen, *_ = self._env.step(self._codec.restore(action))
        if not np.array_equal(seen, frame):
            raise EnvError(
                f"{self._world.env.id} does not come back to this moment, neither by its state nor by replaying its "
                "actions: reset to see it again."
            )

    def close(self) -> None:
        """Free the environment."""
        self._env.close()

    def _state(self, info: dict[str, Any]) -> Any:
        """What set_state takes: info["state"], or get_state(). Gymnasium's own MuJoCo environments take two vectors."""
        env = self._env
        if not env.has_wrapper_attr("set_state"):
            return None
        if len(inspect.signature(env.get_wrapper_attr("set_state")).parameters) != 1:
            return None
        if "state" in info:
            return info["state"]
        return env.get_wrapper_attr("get_state")() if env.has_wrapper_attr("get_state") else None


class Reality:
    """A session's simulator where there is one and it works. present: whether it is at the moment that is driven;
    note: why not. No failure of an environment gets out of here: the dream goes on without it.

    world: None where no simulator is wanted, and `missing` says why.
    """

    def __init__(self, world: WorldSpec | None, missing: str = "") -> None:
        self.simulator: Simulator | None = None
        self.present, self.note = False, missing
        if world is not None:
            with self._tolerated("The simulator cannot be made ({})."):
                self.simulator = Simulator(world)
        self._missing = self.note

    def begin(self, seed: int, count: int) -> tuple[np.ndarray, np.ndarray, RealStep] | None:
        """As Simulator.begin; None where there is no simulator, or it fails."""
        if self.simulator is None:
            self.leave(self._missing)
            return None
        opening = None
        with self._tolerated():
            opening = self.simulator.begin(seed, count)
            self.present, self.note = True, ""
        return opening

    def leave(self, why: str) -> None:
        """It is not at this moment."""
        self.present, self.note = False, why

    def follow(self, moment: Moment, before: Moment, stored: np.ndarray) -> Moment:
        """`moment` with the simulator's next frame; after its end, the last picture stays."""
        if not self.present or self.simulator is None:
            return moment
        if before.real_ended:
            return replace(moment, real=before.real, real_ended=True, real_info=before.real_info)
        with self._tolerated():
            step = self.simulator.step(stored)
            near = float(psnr(torch.from_numpy(moment.frame), torch.from_numpy(step.frame)))
            total = before.real_total + step.reward
            moment = step.beside(replace(moment, real_reward=step.reward, real_total=total, psnr=near))
        return moment

    def restore(self, future: Future) -> None:
        """To the moment that this future shows, if it was there."""
        moment = future.now
        self.present = moment.real is not None
        if moment.real is None:
            self.note = self.note or "The simulator was not beside this moment: reset to see it again."
            return
        if moment.real_ended:
            return
        assert self.simulator is not None, "there was one when the moment came"
        with self._tolerated():
            if moment.real_state is None and future.first:
                raise EnvError("The simulator cannot be brought back so far: reset to see it again.")
            self.simulator.restore(moment.real_state, future.actions(), moment.real)
            self.note = ""

    def close(self) -> None:
        """Free the simulator."""
        if self.simulator is not None:
            with self._tolerated():
                self.simulator.close()
            self.simulator = None

    @contextmanager
    def _tolerated(
        self, otherwise: str = "The simulator failed ({}): reset to begin anew."
    ) -> Iterator[None]:
        """Other people's environments raise anything: then it is not at this moment, and the note says why."""
        try:
            yield
        except Exception as error:
            self.leave(explained(error, otherwise))
