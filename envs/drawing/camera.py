"""Cameras that never depend on what was drawn before: one pose rule, shared by ray casting and GL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import mujoco
import numpy as np

from worldmodel.errors import EnvError


class CameraPose(NamedTuple):
    """Where a camera stands: position [3] in metres, axes [3,3] (columns: right, up, backward), fovy in degrees."""

    position: np.ndarray
    axes: np.ndarray
    fovy: float


@dataclass(frozen=True)
class ModelCamera:
    """A camera that the MuJoCo model defines (fixed, or following a body), by name or by index."""

    name: str | int

    def index(self, model: mujoco.MjModel) -> int:
        """Index in the model. Raises EnvError when the model has no such camera."""
        if isinstance(self.name, str):
            index = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, self.name)
        else:
            index = self.name
        if not 0 <= index < model.ncam:
            known = [model.camera(i).name for i in range(model.ncam)]
            raise EnvError(f"the model has no camera {self.name!r}; it has {known}.")
        return index

    def pose(self, model: mujoco.MjModel, data: mujoco.MjData) -> CameraPose:
        """Pose at the state in `data` (mj_forward or mj_camlight must have run)."""
        i = self.index(model)
        return CameraPose(
            data.cam_xpos[i].copy(), data.cam_xmat[i].reshape(3, 3).copy(), float(model.cam_fovy[i])
        )

    def mjv(self, model: mujoco.MjModel, data: mujoco.MjData) -> mujoco.MjvCamera:
        """The same camera for MuJoCo's GL renderer."""
        camera = mujoco.MjvCamera()
        camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        camera.fixedcamid = self.index(model)
        return camera


@dataclass(frozen=True)
class FreeCamera:
    """A camera looking at a point (metres) from `distance`, or at `track_body`'s centre of mass when that is given.

    Azimuth and elevation in degrees as in MuJoCo's viewer: azimuth 90 looks along +y, elevation -90 straight down.
    """

    lookat: tuple[float, float, float]
    distance: float
    azimuth: float = 90.0
    elevation: float = -45.0
    track_body: int | None = None

    def target(self, data: mujoco.MjData) -> np.ndarray:
        """The point [3] looked at."""
        if self.track_body is not None:
            return data.subtree_com[self.track_body].copy()
        return np.asarray(self.lookat, np.float64)

    def pose(self, model: mujoco.MjModel, data: mujoco.MjData) -> CameraPose:
        """Pose at the state in `data`; the field of view is the model's global one."""
        azimuth, elevation = np.deg2rad(self.azimuth), np.deg2rad(self.elevation)
        ca, sa, ce, se = np.cos(azimuth), np.sin(azimuth), np.cos(elevation), np.sin(elevation)
        forward = np.array([ca * ce, sa * ce, se])
        right = np.array([sa, -ca, 0.0])
        up = np.array([-ca * se, -sa * se, ce])
        axes = np.stack([right, up, -forward], axis=1)
        return CameraPose(self.target(data) - self.distance * forward, axes, float(model.vis.global_.fovy))

    def mjv(self, model: mujoco.MjModel, data: mujoco.MjData) -> mujoco.MjvCamera:
        """The same camera for MuJoCo's GL renderer."""
        camera = mujoco.MjvCamera()
        camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        camera.lookat[:] = self.target(data)
        camera.distance, camera.azimuth, camera.elevation = self.distance, self.azimuth, self.elevation
        return camera


Camera = ModelCamera | FreeCamera
