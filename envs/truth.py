"""What the simulator knows about one moment, as arrays of fixed shape."""

from __future__ import annotations

import mujoco
import numpy as np

from worldmodel.errors import EnvError

MAX_CONTACTS = 8


class Truth:
    """Reads positions, velocities, energy, contacts and visibility of the named bodies from MjData."""

    def __init__(self, model: mujoco.MjModel, objects: tuple[str, ...]) -> None:
        self.model = model
        self._bodies = [mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, name) for name in objects]
        if -1 in self._bodies:
            raise EnvError(f"the model has no body {objects[self._bodies.index(-1)]!r}.")
        # [n, ngeom]: which geoms belong to which object.
        self._owns = (model.geom_bodyid[None] == np.array(self._bodies)[:, None]).astype(np.float32)

    def read(self, data: mujoco.MjData, areas: np.ndarray) -> dict[str, np.ndarray]:
        """The truth at `data` (mj_forward must have run); `areas` float32 [ngeom] are visible pixels of every geom."""
        return {
            "qpos": data.qpos.copy(),
            "qvel": data.qvel.copy(),
            "time": np.array(data.time),
            "energy": data.energy.copy(),
            "contacts": self._contacts(data),
            "object_positions": data.xpos[self._bodies],
            "object_velocities": np.stack([self._velocity(data, body) for body in self._bodies]),
            "visible_area": self._owns @ areas,
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
