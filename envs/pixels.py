"""worldmodel/Pixels-v0: any Gymnasium id as square RGB frames, the same video for the same seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np

from worldmodel.envs.drawing.painters import MujocoPainter, NativePainter, OwnPainter, Painter
from worldmodel.envs.extras import adapted
from worldmodel.envs.frame_env import FrameEnv
from worldmodel.envs.recent_frames import FrameRecord
from worldmodel.errors import EnvError

RENDERERS = ("auto", "raycast", "gl", "native")
_TAKEN = ("size", "renderer", "render_mode", "obs_type")


class PixelEnv(gym.Wrapper[np.ndarray, Any, Any, Any]):
    """Frames uint8 [size,size,3] in place of the inner env's observations.

    One step is `action_repeat` inner steps with the same action: rewards add up, the end of an episode ends it early.
    Info: what the inner env reports (of the last inner step); MuJoCo envs always have qpos, qvel and state
    (mjSTATE_INTEGRATION) in it, which their `set_state(state)` restores exactly, and visible_area and unoccluded_area
    [n] of their `objects`, whose `masks()` are float32 [n,size,size]. `max_episode_steps` is the inner time
    limit in steps of this env, None without one. `frame_record` keeps the last few frames and actions, from which a
    dream can go on.
    """

    def __init__(
        self, env: gym.Env[Any, Any], painter: Painter, size: int, action_repeat: int, render_mode: str | None
    ) -> None:
        super().__init__(env)
        self._painter, self._repeat, self._render_mode = painter, action_repeat, render_mode
        if isinstance(
            painter, MujocoPainter
        ):  # our own scenes have this of themselves, other envs cannot do it
            self.set_state = self._set_state
            self.objects, self.masks = painter.objects, painter.masks
        self._frame = np.zeros((size, size, 3), np.uint8)
        # A scene whose every frame is shown keeps the record itself, and begins it anew when its state is set.
        shared = getattr(env.unwrapped, "frame_record", None)
        self._records = action_repeat > 1 or shared is None or not isinstance(painter, OwnPainter)
        self.frame_record: FrameRecord = shared if shared is not None and not self._records else FrameRecord()
        self.observation_space = gym.spaces.Box(0, 255, (size, size, 3), np.uint8)
        fps = env.metadata.get("render_fps") or 30  # Gymnasium's own default where an env names none
        self.metadata = {**env.metadata, "render_modes": ["rgb_array"], "render_fps": fps / action_repeat}
        limit = env.spec.max_episode_steps if env.spec is not None else None
        limit = limit or getattr(env.unwrapped, "max_episode_steps", None)  # some end by themselves
        self.max_episode_steps = math.ceil(limit / action_repeat) if limit else None

    @property
    def render_mode(self) -> str | None:  # type: ignore[override]
        """As given to gym.make; the inner env may draw in another mode."""
        return self._render_mode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Reset the inner env; the frame is its first."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._begin_record(observation, info)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """`action_repeat` inner steps, fewer when the episode ends; rewards are summed."""
        total = 0.0
        for _ in range(self._repeat):
            observation, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        frame, info = self._paint(observation, info)
        if self._records:
            self.frame_record.add(action, frame, bool(terminated or truncated))
        self.frame_record.over = bool(terminated or truncated)
        return frame, total, terminated, truncated, info

    def render(self) -> np.ndarray | None:
        """The current frame with render_mode="rgb_array", else None."""
        return None if self._render_mode is None else self._frame.copy()

    def close(self) -> None:
        """Free the painter and the inner env."""
        self._painter.close()
        super().close()

    def _set_state(self, state: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """Frame and info of the moment that info["state"] described."""
        assert isinstance(self._painter, MujocoPainter)
        self._painter.set_state(state)
        return self._begin_record(None, {})

    def _begin_record(self, observation: Any, info: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
        """Frame and info of a moment whose past is not known."""
        frame, info = self._paint(observation, info)
        if self._records:
            self.frame_record.begin(frame)
        return frame, info

    def _paint(self, observation: Any, info: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
        self._frame, info = self._painter.paint(observation, info)
        return self._frame, info


def make_pixel_env(
    env_id: str,
    size: int = 64,
    action_repeat: int = 1,
    renderer: str = "auto",
    env_kwargs: Mapping[str, Any] | None = None,
    render_mode: str | None = None,
) -> PixelEnv:
    """Make any Gymnasium id as frames uint8 [size,size,3].

    renderer: "auto" ray-casts everything that is MuJoCo and lets all else draw itself; "raycast" and "gl" draw MuJoCo
    models; "native" resizes what the env itself renders. Raises EnvError when the env cannot be drawn that way.
    """
    if size < 1 or action_repeat < 1:
        raise EnvError(f"size and action_repeat must be at least 1, got {size} and {action_repeat}.")
    if renderer not in RENDERERS:
        raise EnvError(f"renderer must be one of {', '.join(RENDERERS)}, got {renderer!r}.")
    if render_mode not in (None, "rgb_array"):
        raise EnvError(f"render_mode must be None or 'rgb_array', got {render_mode!r}.")
    env_id, kwargs = adapted(env_id, dict(env_kwargs or {}))
    creator = _creator(env_id)
    if (
        isinstance(creator, type)
        and issubclass(creator, FrameEnv)
        and renderer in ("auto", *creator.renderers)
    ):
        if taken := sorted(set(kwargs) & set(_TAKEN)):
            raise EnvError(f"env_kwargs must not set {taken[0]!r}: the pixel environment sets it.")
        drawn_by = creator.renderers[0] if renderer == "auto" else renderer
        env = gym.make(env_id, size=size, renderer=drawn_by, **kwargs)
        return PixelEnv(env, OwnPainter(), size, action_repeat, render_mode)
    modes = getattr(creator, "metadata", {}).get("render_modes") or ()
    can_draw = not isinstance(creator, type) or "rgb_array" in modes
    env = gym.make(env_id, render_mode="rgb_array", **kwargs) if can_draw else gym.make(env_id, **kwargs)
    return PixelEnv(env, _painter(env, env_id, size, renderer, can_draw), size, action_repeat, render_mode)


def _creator(env_id: str) -> Any:
    spec = gym.spec(env_id)
    if callable(spec.entry_point):
        return spec.entry_point
    if spec.entry_point is None:
        raise EnvError(f"{env_id} has no entry point, so it cannot be made as a single environment.")
    return gym.envs.registration.load_env_creator(spec.entry_point)


def _painter(env: gym.Env[Any, Any], env_id: str, size: int, renderer: str, can_draw: bool) -> Painter:
    model = getattr(env.unwrapped, "model", None)
    is_mujoco = isinstance(model, mujoco.MjModel) and isinstance(
        getattr(env.unwrapped, "data", None), mujoco.MjData
    )
    if is_mujoco and renderer != "native":
        return MujocoPainter(env.unwrapped, size, use_gl=renderer == "gl")
    if renderer in ("raycast", "gl"):
        raise EnvError(f"{env_id} has no MuJoCo model for renderer={renderer!r}; use renderer='native'.")
    if not can_draw:
        raise EnvError(
            f"{env_id} cannot draw itself: its render_modes have no 'rgb_array'; choose another id."
        )
    return NativePainter(env, env_id, size)
