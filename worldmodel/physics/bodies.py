"""Where the moving bodies of a MuJoCo environment are, and how far from where they should be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from worldmodel.body_names import body_names
from worldmodel.errors import EnvError
from worldmodel.physics.rollouts import Floats
from worldmodel.physics.subject import mujoco_model


@dataclass(frozen=True)
class Bodies:
    """The n bodies of a model that can move and are there: their names and numbers."""

    names: tuple[str, ...]
    numbers: tuple[int, ...]

    def places(self, env: gym.Env[Any, Any]) -> Floats:
        """Their centres of mass now, [n,3], in metres in the world frame."""
        return np.array(env.unwrapped.data.xipos[list(self.numbers)], np.float64)  # type: ignore[attr-defined]

    def apart(self, places: Floats, other: Floats) -> Floats:
        """How far each is from its other place, [n], in metres."""
        return np.asarray(np.linalg.norm(places - other, axis=-1))


def moving_bodies(env: gym.Env[Any, Any], info: Mapping[str, Any]) -> Bodies:
    """Of an environment that was reset, with its `info` then, which may tell that some of its objects are not present.

    Raises EnvError where there is no MuJoCo model, or nothing in it can move.
    """
    model = mujoco_model(env)
    names = body_names(model)
    absent = set()
    if "present" in info:
        objects = env.get_wrapper_attr("objects")
        absent = {name for name, there in zip(objects, info["present"], strict=True) if not there}
    # A body that is welded to the world has the world, number 0, as the body it is welded to.
    moving = [n for n in range(1, model.nbody) if model.body_weldid[n] and names[n] not in absent]
    if not moving:
        raise EnvError("Nothing in this environment can move.")
    return Bodies(tuple(names[n] for n in moving), tuple(moving))
