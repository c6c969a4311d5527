"""worldmodel/Doom-v0: the scenarios of ViZDoom."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from worldmodel.envs.drawing.shrink import shrink
from worldmodel.envs.extras import import_extra
from worldmodel.envs.frame_env import FrameEnv
from worldmodel.errors import EnvError

_FPS = 35  # of the game
_TRUTH = ("POSITION_X", "POSITION_Y", "ANGLE", "HEALTH")


class DoomEnv(FrameEnv):
    """A ViZDoom scenario in colour, uint8 [size,size,3] (the game's 4:3 screen, squeezed); needs the extra [doom].

    scenario: "Basic" or "VizdoomBasic-v1". A step holds the action for `frame_skip` tics of 1/35 s. The game shows
    nothing once an episode is over: the last frame then stays. Reaching the scenario's own time limit is truncation.
    Info: position [2] (map units), angle [degrees], health, and game_variables, those that the scenario defines.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": _FPS / 4}  # noqa: RUF012
    renderers = ("native",)

    def __init__(
        self,
        scenario: str = "Basic",
        size: int = 64,
        frame_skip: int = 4,
        render_mode: str | None = None,
        renderer: str = "native",
    ) -> None:
        super().__init__(size, render_mode, renderer)
        if frame_skip < 1:
            raise EnvError(f"frame_skip must be at least 1, got {frame_skip}.")
        import_extra("vizdoom.gymnasium_wrapper", "vizdoom", "doom", scenario)
        env_id = scenario if scenario.startswith("Vizdoom") else f"Vizdoom{scenario}-v1"
        self._env: Any = gym.make(env_id, frame_skip=frame_skip)
        self._env = self._env.unwrapped
        self._variables = import_extra("vizdoom", "vizdoom", "doom", scenario).GameVariable
        # The game writes a configuration and makes a folder wherever it is started.
        self._scratch = tempfile.TemporaryDirectory(prefix="worldmodel-doom-")
        self._env.game.set_doom_config_path(str(Path(self._scratch.name) / "vizdoom.ini"))
        self.metadata = {**self.metadata, "render_fps": _FPS / frame_skip}
        timeout = self._env.game.get_episode_timeout()
        self.max_episode_steps = -(-timeout // frame_skip) if timeout else None
        self.action_space = self._env.action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """A new episode. There are no options."""
        super().reset(seed=seed)
        if options:
            raise EnvError(f"Doom takes no reset options, got {', '.join(options)}.")
        with contextlib.chdir(self._scratch.name):
            self._env.reset(seed=int(self.np_random.integers(2**31)))
        self._look()
        self.frame_record.begin(self._frame)
        return self._frame.copy(), self._info.copy()

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Hold `action` for frame_skip tics."""
        _, reward, over, timeout, _ = self._env.step(action)
        if not over:
            self._look()
        self.frame_record.add(action, self._frame, bool(over or timeout))
        return self._frame.copy(), float(reward), over and not timeout, bool(timeout), self._info.copy()

    def render(self) -> np.ndarray | None:
        """The current frame uint8 [size,size,3] with render_mode="rgb_array", else None."""
        return None if self.render_mode is None else self._frame.copy()

    def close(self) -> None:
        """End the game's process and remove its files."""
        self._env.close()
        self._scratch.cleanup()

    def _look(self) -> None:
        game, state = self._env.game, self._env.state
        self._frame = shrink(state.screen_buffer, self.size)
        x, y, angle, health = (game.get_game_variable(getattr(self._variables, name)) for name in _TRUTH)
        self._info = {"position": np.array([x, y]), "angle": np.array(angle), "health": np.array(health)}
        if state.game_variables is not None:
            self._info["game_variables"] = np.array(state.game_variables, np.float64)
