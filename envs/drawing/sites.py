"""Sites: marks in a model that are shown but are no bodies. Some environments draw their goal or their agent so."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np

from worldmodel.envs.drawing.camera import CameraPose
from worldmodel.envs.drawing.surface import shade

_SHOWN_GROUPS = 2  # up to this, as in MuJoCo's viewer
RaysNear = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Sites:
    """The visible sites of a model. They are drawn over what lies behind them, and count for no geom's area."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model
        rgba = model.site_rgba.copy()
        rgba[model.site_matid >= 0] = model.mat_rgba[model.site_matid[model.site_matid >= 0]]
        self._rgba = rgba
        self._ids = np.flatnonzero((model.site_group <= _SHOWN_GROUPS) & (rgba[:, 3] > 0))

    def __len__(self) -> int:
        return len(self._ids)

    def draw(
        self,
        data: mujoco.MjData,
        pose: CameraPose,
        rays: np.ndarray,
        rays_near: RaysNear,
        nearest: np.ndarray,
        colours: np.ndarray,
    ) -> None:
        """Paint them into `colours` float32 [N,3] where they are in front of `nearest` [N], along unit rays [N,3].

        rays_near(centres, radii) gives the indices of the rays that may meet those spheres.
        """
        for site in self._ids.tolist():
            size = self._model.site_size[site]
            near = rays_near(data.site_xpos[site][None], np.array([size.sum()]))
            distance, normal = self._cast(data, site, pose.position, rays[near])
            front = (distance >= 0) & (distance < nearest[near])
            hit = near[front]
            nearest[hit] = distance[front]
            light = shade(normal[front], rays[hit])
            colours[hit] = np.minimum(self._rgba[site, :3] * light[:, None], np.float32(1.0))

    def _cast(
        self, data: mujoco.MjData, site: int, position: np.ndarray, rays: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Distance [N] (-1: missed) and normal [N,3]. One ray at a time: MuJoCo casts many rays at geoms only."""
        distance, normal = np.empty(len(rays)), np.zeros((len(rays), 3))
        place, turn = data.site_xpos[site], data.site_xmat[site]
        size, kind = self._model.site_size[site], self._model.site_type[site]
        for i, ray in enumerate(rays):
            distance[i] = mujoco.mju_rayGeom(place, turn, size, position, ray, kind, normal[i])
        return distance, normal
