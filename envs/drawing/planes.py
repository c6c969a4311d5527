"""Rays that meet planes, a floor most of all: for all rays at once this is faster than ray by ray."""

from __future__ import annotations

import mujoco
import numpy as np

_MINVAL = 1e-15  # MuJoCo's mjMINVAL: rays flatter than this miss


def cast_plane(
    model: mujoco.MjModel, data: mujoco.MjData, plane: int, position: np.ndarray, rays: np.ndarray
) -> np.ndarray:
    """Distance [N] along unit rays [N,3] from `position` to the front of a plane geom, inf where it is missed.

    A size of 0 means endless, as in MuJoCo.
    """
    axes = data.geom_xmat[plane].reshape(3, 3)
    x, y, height = axes.T @ (position - data.geom_xpos[plane])
    sinking = _along(rays, axes[:, 2])
    ahead = sinking < -_MINVAL
    distance = np.full(len(rays), np.inf)
    np.divide(-height, sinking, out=distance, where=ahead)
    distance[distance < 0] = np.inf
    for start, axis, half in (
        (x, axes[:, 0], model.geom_size[plane, 0]),
        (y, axes[:, 1], model.geom_size[plane, 1]),
    ):
        if half > 0:
            met = np.flatnonzero(np.isfinite(distance))
            outside = np.abs(start + distance[met] * _along(rays[met], axis)) > half
            distance[met[outside]] = np.inf
    return distance


def _along(rays: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Dot product of every ray with an axis, written out: BLAS may round differently from machine to machine."""
    return rays[:, 0] * axis[0] + rays[:, 1] * axis[1] + rays[:, 2] * axis[2]
