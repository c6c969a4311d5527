"""How a pixel environment gets its frame: from our scene, from a MuJoCo model, or from the env's own render()."""

from __future__ import annotations

from typing import Any, Protocol

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium.error import DependencyNotInstalled

from worldmodel.body_names import body_names
from worldmodel.envs.drawing.camera import Camera, FreeCamera, ModelCamera
from worldmodel.envs.drawing.raycast import RayCaster
from worldmodel.envs.drawing.shrink import shrink
from worldmodel.envs.drawing.truth import Sight
from worldmodel.envs.scenes.scene import STATE
from worldmodel.errors import EnvError

Painted = tuple[np.ndarray, dict[str, Any]]


class Painter(Protocol):
    """Turns what the inner env returned into a frame uint8 [size,size,3] and an info."""

    def paint(self, observation: Any, info: dict[str, Any]) -> Painted: ...

    def close(self) -> None: ...


class OwnPainter:
    """Our own environments observe frames already."""

    def paint(self, observation: Any, info: dict[str, Any]) -> Painted:
        """Pass both on."""
        return observation, info

    def close(self) -> None:
        """Nothing to free: the env frees itself."""


class MujocoPainter:
    """Draws a MuJoCo env without touching it: the state is copied and drawn exactly as info["state"] has it.

    (A MuJoCo env's own geom positions lag one simulation step behind its qpos.) objects: names of the bodies that can
    move and are drawn.
    """

    def __init__(self, env: Any, size: int, use_gl: bool) -> None:
        self._env, self._model = env, env.model
        self._data = mujoco.MjData(self._model)
        self._state = np.empty(mujoco.mj_stateSize(self._model, STATE))
        camera = default_camera(env)
        self._gl = None
        if use_gl:
            from worldmodel.envs.drawing.gl import GLRenderer

            self._gl = GLRenderer(self._model, camera=camera, height=size, width=size)
        self._caster = RayCaster(self._model, camera=camera, height=size, width=size)
        bodies = self._caster.seen_bodies()
        names = body_names(self._model)
        self.objects = tuple(names[i] for i in bodies)
        self._sight = Sight(self._model, bodies)
        self._geoms = np.full((1, size, size), -1, np.int32)

    def paint(self, observation: Any, info: dict[str, Any]) -> Painted:
        """Frame, and the env's own info with qpos, qvel, state of this very moment and what is seen of the objects."""
        mujoco.mj_getState(self._model, self._env.data, self._state, STATE)
        mujoco.mj_setState(self._model, self._data, self._state, STATE)
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        truth = {"qpos": self._data.qpos.copy(), "qvel": self._data.qvel.copy(), "state": self._state.copy()}
        picture = self._caster.draw(self._data)
        seen = {"present": np.ones(len(self.objects), bool), **self._sight.areas(picture)}
        frame = self._gl.draw(self._data) if self._gl is not None else picture.frame
        self._geoms = picture.geoms
        return frame, {**info, **truth, **seen}

    def masks(self) -> np.ndarray:
        """How much of every pixel of the last frame each object covers, float32 [n,size,size] in [0,1]."""
        return self._sight.masks(self._geoms)

    def set_state(self, state: np.ndarray) -> None:
        """Bring the env to the moment of an info["state"]. Raises EnvError for a vector of another length."""
        if np.shape(state) != self._state.shape:
            raise EnvError(f"a state of this model has shape {self._state.shape}, got {np.shape(state)}.")
        # No mj_forward: it would replace the solver's warm start, and further steps would differ in their last bits.
        mujoco.mj_setState(self._model, self._env.data, np.asarray(state, np.float64), STATE)

    def close(self) -> None:
        """Free the GL context, if there is one."""
        if self._gl is not None:
            self._gl.close()


class NativePainter:
    """Resizes what the env renders, by area average (so a smaller picture keeps every pixel's share)."""

    def __init__(self, env: gym.Env[Any, Any], env_id: str, size: int) -> None:
        self._env, self._id, self._size = env, env_id, size
        # Some envs fix their camera at the first picture. Take that one from a known seed, so that a seed's video does
        # not depend on earlier episodes, and then let unseeded resets be random again.
        env.reset(seed=0)
        self._draw()
        env.reset(seed=int(np.random.SeedSequence().generate_state(1)[0]) >> 1)

    def paint(self, observation: Any, info: dict[str, Any]) -> Painted:
        """Frame, and the env's own info."""
        return self._draw(), info

    def close(self) -> None:
        """Nothing to free: the env frees itself."""

    def _draw(self) -> np.ndarray:
        try:
            picture = self._env.render()
        except (DependencyNotInstalled, ImportError) as error:
            raise EnvError(f"{self._id} cannot draw itself: {error}") from error
        if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.shape[2:] != (3,):
            what = (
                f"{picture.dtype} {picture.shape}"
                if isinstance(picture, np.ndarray)
                else type(picture).__name__
            )
            raise EnvError(f"{self._id} must render uint8 [H,W,3] to be used as pixels, it gave {what}.")
        return shrink(picture, self._size)


def default_camera(env: Any) -> Camera:
    """The camera for a MuJoCo env: the one it was made with, else its model's "track", else its default view.

    A default view that names a body to track follows it. Gymnasium itself would fix the free camera at whatever the
    first picture happens to be, and let the robot walk out of it; here it depends on the model alone.
    """
    renderer = getattr(env, "mujoco_renderer", None)
    chosen = getattr(renderer, "camera_id", None)
    if chosen is not None and chosen >= 0:
        return ModelCamera(int(chosen))
    track = mujoco.mj_name2id(env.model, mujoco.mjtObj.mjOBJ_CAMERA, "track")
    if track >= 0:
        return ModelCamera(track)
    config = getattr(renderer, "default_cam_config", None) or {}
    start = mujoco.MjData(env.model)
    mujoco.mj_kinematics(env.model, start)
    body = config.get("trackbodyid", -1)
    lookat = config.get("lookat", np.median(start.geom_xpos, axis=0))
    return FreeCamera(
        lookat=(float(lookat[0]), float(lookat[1]), float(lookat[2])),
        distance=float(config.get("distance", env.model.stat.extent)),
        azimuth=float(config.get("azimuth", env.model.vis.global_.azimuth)),
        elevation=float(config.get("elevation", env.model.vis.global_.elevation)),
        track_body=body if body > 0 else None,
    )
