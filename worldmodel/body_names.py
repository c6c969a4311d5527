"""What the bodies of a MuJoCo model are called, where a picture, a state and a report must mean the same one."""

from __future__ import annotations

import mujoco


def body_names(model: mujoco.MjModel) -> tuple[str, ...]:
    """Of every body, by its number; one without a name is called by that: "body3"."""
    return tuple(model.body(number).name or f"body{number}" for number in range(model.nbody))
