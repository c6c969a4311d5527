"""A number that drifts by chance and by its action until chance, likelier above zero, or a time limit ends it.

The vector environment is written out, not SyncVectorEnv, so that its parts can be broken (broken_vector_envs.py).
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array

LIMIT, ENDS = 9, 0.1
WIDE = spaces.Box(-np.inf, np.inf, (2,), np.float32)
OBSERVATIONS = {
    "box": WIDE,
    "discrete": spaces.Discrete(64),
    "dict": spaces.Dict({"where": WIDE, "picture": spaces.Box(0, 255, (2, 2, 3), np.uint8)}),
    "tuple": spaces.Tuple([WIDE, spaces.MultiBinary(2)]),
}
ACTIONS = {
    "box": spaces.Box(-1.0, 1.0, (1,), np.float32),
    "discrete": spaces.Discrete(3, start=-1),
    "dict": spaces.Dict({"push": spaces.Box(-1.0, 1.0, (1,), np.float32), "twice": spaces.Discrete(2)}),
}


def observe(kind: str, where: float, step: int) -> Any:
    numbers = np.array([where, step], np.float32)
    match kind:
        case "discrete":
            return np.int64(min(63, int(8 * abs(where))))
        case "dict":
            return {"where": numbers, "picture": np.full((2, 2, 3), int(8 * abs(where)) % 256, np.uint8)}
        case "tuple":
            return numbers, np.array([where > 0, step > 3], np.int8)
    return numbers


def force(action: Any) -> float:
    """What the action adds to the number."""
    if isinstance(action, dict):
        return float(action["push"][0]) * (1 + int(action["twice"]))
    return float(np.ravel(action)[0])


class DriftEnv(gym.Env):
    """One number. info: where it is, and what it moved by."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(self, kind: str = "box", act: str = "box", render_mode: str | None = None) -> None:
        self.kind, self.render_mode = kind, render_mode
        self.observation_space, self.action_space = OBSERVATIONS[kind], ACTIONS[act]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._where, self._step = self.np_random.normal(), 0
        return self._seen(0.0)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        before = self._where
        self._where += force(action) + 0.1 * self.np_random.normal()
        self._step += 1
        obs, info = self._seen(self._where - before)
        ended = bool(self.np_random.random() < ENDS * (1 + (self._where > 0)))
        return obs, self._where, ended, self._step >= LIMIT, info

    def render(self) -> np.ndarray:
        return np.full((2, 2, 3), int(8 * abs(self._where)) % 256, np.uint8)

    def _seen(self, moved: float) -> tuple[Any, dict[str, Any]]:
        return observe(self.kind, self._where, self._step), {"where": self._where, "moved": moved}


class DriftVectorEnv(VectorEnv):
    """N numbers, each with a random stream of its own."""

    def __init__(
        self,
        num_envs: int,
        mode: AutoresetMode,
        kind: str = "box",
        act: str = "box",
        render_mode: str | None = None,
    ) -> None:
        self.num_envs, self.kind, self.render_mode = num_envs, kind, render_mode
        self.metadata = {"autoreset_mode": mode, "render_modes": ["rgb_array"]}
        self.mode = mode
        self.single_observation_space, self.single_action_space = OBSERVATIONS[kind], ACTIONS[act]
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.where, self.moved = np.zeros(num_envs), np.zeros(num_envs)
        self.steps = np.zeros(num_envs, int)
        self.ended = np.zeros(num_envs, bool)
        self.rngs = [np.random.default_rng() for _ in range(num_envs)]

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        mask = (options or {}).get("reset_mask", np.ones(self.num_envs, bool))
        self.seed_members(self.seeds_of(seed), mask)
        self.begin(mask)
        return self.observations(), self.infos(mask)

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        forces = self.forces(actions)
        restart = self.ended & (self.mode == AutoresetMode.NEXT_STEP)
        ended = self.advance(forces, ~restart)
        rewards = np.where(restart, 0.0, self.where)
        truncated = (self.steps >= LIMIT) & ~restart
        self.begin(restart)
        self.ended = ended | truncated
        infos = self.infos(np.ones(self.num_envs, bool))
        if self.mode == AutoresetMode.SAME_STEP and self.ended.any():
            infos = self.restart_ended(self.ended.copy(), infos)
        return self.observations(), rewards, ended, truncated, infos

    def render(self) -> tuple[np.ndarray, ...]:
        return tuple(np.full((2, 2, 3), int(8 * abs(where)) % 256, np.uint8) for where in self.where)

    def seeds_of(self, seed: Any) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        return [seed + i for i in range(self.num_envs)] if isinstance(seed, int) else list(seed)

    def seed_members(self, seeds: list[int | None], mask: np.ndarray) -> None:
        for i, seed in enumerate(seeds):
            if mask[i] and seed is not None:
                self.rngs[i] = gym.utils.seeding.np_random(seed)[0]

    def begin(self, mask: np.ndarray) -> None:
        for i in np.flatnonzero(mask):
            self.where[i] = self.rngs[i].normal()
        self.steps[mask], self.moved[mask], self.ended[mask] = 0, 0.0, False

    def forces(self, actions: Any) -> np.ndarray:
        rows = list(gym.vector.utils.iterate(self.action_space, actions))
        return np.array([force(row) for row in rows])

    def advance(self, forces: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Move those of the mask; who ended by chance."""
        ended, before = np.zeros(self.num_envs, bool), self.where.copy()
        for i in np.flatnonzero(mask):
            self.where[i] += forces[i] + 0.1 * self.rngs[i].normal()
            ended[i] = self.rngs[i].random() < ENDS * (1 + (self.where[i] > 0))
        self.steps[mask] += 1
        self.moved = self.where - before
        return ended

    def restart_ended(self, ended: np.ndarray, infos: dict[str, Any]) -> dict[str, Any]:
        final = np.full(self.num_envs, None, object)
        for i in np.flatnonzero(ended):
            final[i] = observe(self.kind, self.where[i], int(self.steps[i]))
        told = {key: (ended.copy() if key.startswith("_") else value) for key, value in infos.items()}
        self.begin(ended)
        return {
            **self.infos(np.ones(self.num_envs, bool)),
            "final_obs": final,
            "_final_obs": ended.copy(),
            "final_info": told,
            "_final_info": ended.copy(),
        }

    def observations(self) -> Any:
        rows = [
            observe(self.kind, where, int(step)) for where, step in zip(self.where, self.steps, strict=True)
        ]
        space = self.single_observation_space
        return concatenate(space, rows, create_empty_array(space, self.num_envs))

    def infos(self, mask: np.ndarray) -> dict[str, Any]:
        return {
            "where": self.where.copy(),
            "_where": mask.copy(),
            "moved": self.moved.copy(),
            "_moved": mask.copy(),
        }
