"""worldmodel/Maze-v0: collect coins in a maze and keep away from enemies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from worldmodel.envs.frame_env import FrameEnv
from worldmodel.envs.scenes.controls import ActionError
from worldmodel.envs.scenes.maze_picture import MazePicture
from worldmodel.envs.scenes.maze_rules import MAX_COINS, MAX_ENEMIES, STEPS, MazeState, advance, begin
from worldmodel.envs.scenes.options import Options, Range
from worldmodel.errors import EnvError


class MazeEnv(FrameEnv):
    """A yellow player in a maze of 8 x 8 cells, new in every episode, with white coins and red enemies.

    Observation: the picture, uint8 [size,size,3]. Action: Discrete(5): stay, up, right, down, left, one cell; into a
    wall or the edge is staying. Reward: 1 for a coin (which appears again elsewhere), -1 for being caught by an enemy,
    which ends the episode; the time limit is 200 steps. Enemies move at random, mostly straight on: the next frame is
    a matter of chance, but all chance follows from the seed. Info: player [2], coins [6,2] and enemies [6,2] as
    (column, row) from the upper left (-1, -1: not there), walls [8,8], score, and state, with which `set_state`
    restores everything, the enemies' further moves included.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 8}  # noqa: RUF012
    renderers = ("native",)
    objects = ("player", "coins", "enemies")  # what `masks` tells apart
    ranges: ClassVar[dict[str, Range]] = {
        "walls": Range(14, None, (0, 24), "cells", "how many cells are walls", whole=True),
        "coins": Range(3, None, (1, MAX_COINS), "coins", "how many there are at a time", whole=True),
        "enemies": Range(2, None, (0, MAX_ENEMIES), "enemies", "how many there are", whole=True),
        "enemy_speed": Range(0.7, None, (0.0, 1.0), "probability", "how likely an enemy moves in a step"),
    }

    def __init__(
        self,
        size: int = 64,
        render_mode: str | None = None,
        renderer: str = "native",
        options: Mapping[str, Any] | None = None,
        vary: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        super().__init__(size, render_mode, renderer)
        self.action_space = gym.spaces.Discrete(len(STEPS))
        self._picture = MazePicture(size)
        self._options = Options(self.ranges, options, vary)
        self.options: dict[str, Any] = dict(self._options.defaults)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """A new maze. `options` holds for this episode only; the constructor's `options` and `vary` for all."""
        super().reset(seed=seed)
        self.options = dict(self._options.choose(options, self.np_random))
        walls, coins, enemies = (int(self.options[name]) for name in ("walls", "coins", "enemies"))
        self.state = begin(walls, coins, enemies, self.np_random)
        return self._begin_record()

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One move of everybody."""
        if not self.action_space.contains(action):
            raise ActionError(f"an action must be a whole number from 0 to {len(STEPS) - 1}, got {action!r}.")
        self.state, reward, caught = advance(self.state, int(action), self.options["enemy_speed"])
        observation, info = self._observe()
        self.frame_record.add(action, observation, caught)
        return observation, reward, caught, False, info

    def render(self) -> np.ndarray | None:
        """The current frame uint8 [size,size,3] with render_mode="rgb_array", else None."""
        return None if self.render_mode is None else self._picture.draw(self.state)

    def get_action_meanings(self) -> list[str]:
        """Names of the actions, as Atari environments give them."""
        return ["stay", "up", "right", "down", "left"]

    def get_state(self) -> np.ndarray:
        """float64 [99]; the same vector as info["state"]."""
        return self.state.to_vector()

    def set_state(self, state: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """Restore a state exactly, chance included (`enemy_speed` is this episode's). Returns observation and info."""
        state, expected = np.asarray(state, np.float64), self.state.to_vector().shape
        if state.shape != expected:
            raise EnvError(f"a state of the maze has shape {expected}, got {state.shape}.")
        self.state = MazeState.from_vector(state)
        return self._begin_record()

    def reseed(self, seed: int) -> None:
        """Give all further chance another stream, 0 <= seed < 2**32; nothing else changes."""
        self.state = replace(self.state, key=seed)

    def masks(self) -> np.ndarray:
        """How much of every pixel of the current frame `objects` cover, float32 [3,size,size] in [0,1]."""
        return self._picture.masks(self.state)

    def _begin_record(self) -> tuple[np.ndarray, dict[str, Any]]:
        """Observation and info of a moment whose past is not known."""
        observation, info = self._observe()
        self.frame_record.begin(observation)
        return observation, info

    def _observe(self) -> tuple[np.ndarray, dict[str, Any]]:
        state = self.state
        info = {
            "state": state.to_vector(),
            "player": state.player.copy(),
            "coins": state.coins.copy(),
            "enemies": state.enemies.copy(),
            "walls": state.walls.copy(),
            "score": np.array(state.score),
        }
        return self._picture.draw(state), info
