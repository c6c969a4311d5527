"""worldmodel/Atari-v0: the games of the Arcade Learning Environment, prepared as in Atari-100k."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from worldmodel.envs.drawing.shrink import shrink
from worldmodel.envs.extras import import_extra
from worldmodel.envs.frame_env import FrameEnv
from worldmodel.errors import EnvError

_FPS = 60  # of the console


class AtariEnv(FrameEnv):
    """An Atari game in colour, uint8 [size,size,3]; needs the extra [atari] (ale-py, which is under the GPL).

    game: "Breakout" or "ALE/Breakout-v5". A step holds the action for `frame_skip` frames, adds up their rewards, and
    shows the brighter of the last two in every pixel (sprites flicker). An episode starts with 1 to `noop_max` idle
    frames. sticky: probability that a frame repeats the action before (0 in Atari-100k); clip_rewards: their signs;
    life_loss_ends: terminated after each lost life, and reset then starts a new game; full_action_space: all 18.
    Time limit: 27,000 steps (108,000 frames). Info: lives, ram uint8 [128], frame_number (of the episode).
    Source: the protocol of Machado et al. (2018) and Kaiser et al. (2020).
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": _FPS / 4}  # noqa: RUF012
    renderers = ("native",)

    def __init__(
        self,
        game: str,
        size: int = 64,
        frame_skip: int = 4,
        noop_max: int = 30,
        life_loss_ends: bool = False,
        sticky: float = 0.0,
        full_action_space: bool = False,
        clip_rewards: bool = False,
        render_mode: str | None = None,
        renderer: str = "native",
    ) -> None:
        super().__init__(size, render_mode, renderer)
        if frame_skip < 1 or noop_max < 0:
            raise EnvError(
                f"frame_skip must be at least 1 and noop_max at least 0, got {frame_skip} and {noop_max}."
            )
        self._env = _make(game, repeat_action_probability=sticky, full_action_space=full_action_space)
        self._ale = self._env.ale
        self._skip, self._noop_max = frame_skip, noop_max
        self._life_loss_ends, self._clip = life_loss_ends, clip_rewards
        self.metadata = {**self.metadata, "render_fps": _FPS / frame_skip}
        self.action_space = self._env.action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """A new game, after some idle frames. There are no options."""
        super().reset(seed=seed)
        if options:
            raise EnvError(f"Atari games take no reset options, got {', '.join(options)}.")
        # Seeding loads the game anew: nothing of earlier episodes is left.
        self._env.reset(seed=None if seed is None else int(self.np_random.integers(2**31)))
        for _ in range(int(self.np_random.integers(1, self._noop_max + 1)) if self._noop_max else 0):
            if self._act(0)[1]:
                self._env.reset()
        self._frame = shrink(self._ale.getScreenRGB(), self.size)
        self.frame_record.begin(self._frame)
        return self._frame.copy(), self._info()

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Hold `action` for frame_skip frames, fewer when the game ends."""
        lives, total, before = self._ale.lives(), 0.0, None
        for i in range(self._skip):
            if 0 < i == self._skip - 1:
                before = self._ale.getScreenRGB()  # the last frame but one, for flicker
            reward, terminated, truncated = self._act(action)
            total += reward
            if terminated or truncated:
                break
        last = self._ale.getScreenRGB()
        self._frame = shrink(last if before is None else np.maximum(last, before), self.size)
        if self._life_loss_ends and self._ale.lives() < lives:
            terminated = True
        reward = float(np.sign(total)) if self._clip else total
        self.frame_record.add(action, self._frame, terminated or truncated)
        return self._frame.copy(), reward, terminated, truncated, self._info()

    def get_state(self) -> np.ndarray:
        """The emulator with its random numbers, and the current frame before it: uint8 [n], for `set_state` only."""
        emulator = np.frombuffer(self._ale.cloneState(include_rng=True).serialize(), np.uint8)
        return np.concatenate([self._frame.ravel(), emulator])

    def set_state(self, state: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """Go back to what get_state of the same game gave: all further frames are the same. Returns frame and info."""
        import ale_py

        state = np.asarray(state, np.uint8)
        if state.ndim != 1 or len(state) <= self._frame.size:
            raise EnvError(
                f"that is no state of this game: expected what its get_state gave, got {state.shape}."
            )
        self._frame = state[: self._frame.size].reshape(self._frame.shape).copy()
        self._ale.restoreState(ale_py.ALEState(state[self._frame.size :].tobytes()))
        self.frame_record.begin(self._frame)
        return self._frame.copy(), self._info()

    def render(self) -> np.ndarray | None:
        """The current frame uint8 [size,size,3] with render_mode="rgb_array", else None."""
        return None if self.render_mode is None else self._frame.copy()

    def close(self) -> None:
        """Close the game."""
        self._env.close()

    def _act(self, action: Any) -> tuple[float, bool, bool]:
        _, reward, terminated, truncated, _ = self._env.step(action)
        return float(reward), terminated, truncated

    def _info(self) -> dict[str, Any]:
        return {
            "lives": np.array(self._ale.lives()),
            "ram": np.array(self._ale.getRAM()),
            "frame_number": np.array(self._ale.getEpisodeFrameNumber()),
        }


def _make(game: str, **kwargs: Any) -> Any:
    ale_py = import_extra("ale_py", "ale-py", "atari", game)
    gym.register_envs(ale_py)
    env_id = game if game.startswith("ALE/") else f"ALE/{game}-v5"
    # The RAM as observation: the screen is fetched only when it is to be seen.
    return gym.make(env_id, frameskip=1, obs_type="ram", **kwargs).unwrapped
