"""Other physics for the same scene: gravity, masses, friction or drag times a factor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import mujoco
import numpy as np

from worldmodel.errors import EnvError

_FIELDS = {
    "gravity": ("gravity",),
    "mass": ("body_mass", "body_inertia"),
    "friction": ("geom_friction", "dof_damping", "dof_frictionloss"),
}
PARAMETERS = tuple(_FIELDS)


@dataclass(frozen=True)
class WrongPhysics:
    """parameter: "gravity", "mass" (and inertia, of every body) or "friction" (sliding friction, and drag in
    joints)."""

    parameter: str
    factor: float

    def __post_init__(self) -> None:
        if self.parameter not in _FIELDS:
            raise EnvError(f"physics cannot be changed in {self.parameter!r}; use {', '.join(_FIELDS)}.")

    @property
    def name(self) -> str:
        """As in a table."""
        return f"{self.parameter} x{self.factor:g}"

    @contextmanager
    def of(self, model: mujoco.MjModel) -> Iterator[None]:
        """Holds inside the block; the model is as before after it."""
        places = [_array(model, name) for name in _FIELDS[self.parameter]]
        before = [place.copy() for place in places]
        for place in places:
            place *= self.factor
        try:
            _derive(model)
            yield
        finally:
            for place, values in zip(places, before, strict=True):
                place[:] = values
            _derive(model)


def changeable(model: mujoco.MjModel) -> tuple[str, ...]:
    """The parameters that are not zero in this model; gravity counts only where something has a weight."""
    return tuple(name for name in PARAMETERS if any(_array(model, field).any() for field in _FIELDS[name]))


def _array(model: mujoco.MjModel, name: str) -> np.ndarray:
    return np.asarray(model.opt.gravity if name == "gravity" else getattr(model, name))


def _derive(model: mujoco.MjModel) -> None:
    """Recompute what MuJoCo derives from masses (inverse weights, which contacts use)."""
    mujoco.mj_setConst(model, mujoco.MjData(model))
