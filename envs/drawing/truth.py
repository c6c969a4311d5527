"""What the simulator knows about one moment, as arrays of fixed shape."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from worldmodel.envs.drawing.raycast import Picture
from worldmodel.errors import EnvError

MAX_CONTACTS = 8


class Sight:
    """Of which bodies the samples of a picture are. bodies: their numbers in the model."""

    def __init__(self, model: mujoco.MjModel, bodies: Sequence[int]) -> None:
        # [n, ngeom]: which geoms belong to which body.
        self._owns = (model.geom_bodyid[None] == np.array(bodies, int)[:, None]).astype(np.float32)

    def areas(self, picture: Picture) -> dict[str, np.ndarray]:
        """visible_area and unoccluded_area float32 [n] in pixels: as drawn, and if only what can move were there."""
        return {
            "visible_area": self._owns @ picture.visible_areas,
            "unoccluded_area": self._owns @ picture.moving_areas,
        }

    def masks(self, geoms: np.ndarray) -> np.ndarray:
        """Share of every pixel that each body covers, float32 [n,H,W], from the geoms under its samples [S,H,W]."""
        owner = np.full(self._owns.shape[1] + 1, -1)  # the last entry serves geom -1, the background
        owner[:-1] = np.where(self._owns.any(axis=0), self._owns.argmax(axis=0), -1)
        under = owner[geoms]
        return np.stack([(under == i).mean(axis=0, dtype=np.float32) for i in range(len(self._owns))])


class Truth:
    """Reads positions, velocities, energy, contacts and visibility of the named bodies from MjData."""

    def __init__(self, model: mujoco.MjModel, objects: tuple[str, ...], present: np.ndarray) -> None:
        self.model, self._present = model, present
        self._bodies = [mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, name) for name in objects]
        if -1 in self._bodies:
            raise EnvError(f"the model has no body {objects[self._bodies.index(-1)]!r}.")
        self.sight = Sight(model, self._bodies)

    def read(self, data: mujoco.MjData, picture: Picture) -> dict[str, np.ndarray]:
        """The truth at `data` (mj_forward must have run), of which `picture` was drawn."""
        return {
            "qpos": data.qpos.copy(),
            "qvel": data.qvel.copy(),
            "time": np.array(data.time),
            "energy": data.energy.copy(),
            "contacts": self._contacts(data),
            "object_positions": data.xpos[self._bodies],
            "object_velocities": np.stack([self._velocity(data, body) for body in self._bodies]),
            "present": self._present.copy(),
            **self.sight.areas(picture),
        }

    def _velocity(self, data: mujoco.MjData, body: int) -> np.ndarray:
        """Linear velocity [3] of the body's origin in the world frame [m/s]."""
        velocity = np.empty(6)
        mujoco.mj_objectVelocity(self.model, data, mujoco.mjtObj.mjOBJ_BODY, body, velocity, 0)
        return velocity[3:]

    def _contacts(self, data: mujoco.MjData) -> np.ndarray:
        """[MAX_CONTACTS,4]: geom1, geom2, distance [m] (negative: overlap), normal force [N]; deepest first."""
        rows = np.zeros((MAX_CONTACTS, 4))
        rows[:, :2] = -1
        force = np.empty(6)
        deepest = sorted(range(data.ncon), key=lambda i: data.contact[i].dist)[:MAX_CONTACTS]
        for row, i in zip(rows, deepest, strict=False):
            mujoco.mj_contactForce(self.model, data, i, force)
            row[:] = (*data.contact[i].geom, data.contact[i].dist, force[0])
        return rows
