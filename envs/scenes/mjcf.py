"""Pieces of MJCF that our scenes share: one light for both renderers, elastic contacts, absent objects."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

# Both renderers shall show the same shades: the light of surface.py, once more for OpenGL.
LOOK = """<visual><headlight ambient="0.42 0.42 0.42" diffuse="0 0 0" specular="0 0 0"/></visual>"""
LIGHT = (
    '<light type="directional" dir="0.35 0.45 -0.82" diffuse="0.68 0.68 0.68" specular="0 0 0" '
    'castshadow="false"/>'
)
DRAWN_ONLY = 'contype="0" conaffinity="0"'
# What is not there: it stays in the model, so that arrays keep their shapes, but is neither seen nor touched.
ABSENT = f'{DRAWN_ONLY} group="4"'
VIEW_DISTANCE = 4.0  # of the camera that looks at a scene from the front [m]
STIFFNESS = 10_000.0  # of an elastic contact [1/s^2]: it lasts 0.03 s, and is 2 cm deep at 2 m/s


def document(name: str, *, timestep: float, option: str, geom: str, world: str, rest: str) -> str:
    """A whole model. option: more attributes of <option>; geom: geoms' default attributes; rest: after the world."""
    return f"""
<mujoco model="{name}">
  <option timestep="{timestep}" {option}><flag energy="enable"/></option>
  {LOOK}
  <default><geom {geom}/></default>
  <worldbody>
    {LIGHT}
    {world}
  </worldbody>
  {rest}
</mujoco>"""


def front_view(half_width: float, backdrop: Sequence[float], height: float = 0.0) -> str:
    """Camera "view", 4 m before the plane y = 0, of which it sees half_width [m] to each side of (0, 0, height).

    The backdrop faces the light: upright it would be drawn a quarter darker than its colour.
    """
    fovy = 2 * math.degrees(math.atan(half_width / VIEW_DISTANCE))
    return f"""<camera name="view" pos="0 {-VIEW_DISTANCE} {height}" xyaxes="1 0 0 0 0 1" fovy="{fovy:.9g}"/>
    <geom name="backdrop" type="box" size="60 60 0.05" pos="0 5 {height}" zaxis="0 -0.45 0.82"
      rgba="{numbers(backdrop)} 1" {DRAWN_ONLY}/>"""


def motor(kind: str, joint: str, limit: float = 1.0, **attributes: float) -> str:
    """An actuator with the control range [-limit, limit]."""
    more = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return f'<{kind} joint="{joint}" ctrllimited="true" ctrlrange="{-limit} {limit}" {more}/>'


def numbers(values: Iterable[float]) -> str:
    """As an MJCF attribute."""
    return " ".join(str(float(v)) for v in values)


def elastic(restitution: float) -> str:
    """solref of contacts that give back this share of the speed: 1 keeps all energy.

    The contact is a spring and damper in MuJoCo's direct format. Its force pushes only, so it lets go a little before
    the spring is back: the damping that gives `restitution` solves e = exp(-z (pi - atan(...)) / sqrt(1 - z^2)).
    """
    low, high = 0.0, 0.999
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _restitution(middle) > restitution else (low, middle)
    damping = 2 * low * math.sqrt(STIFFNESS)
    return f"-{STIFFNESS} -{damping if restitution < 1 else 0.0}"


def _restitution(ratio: float) -> float:
    """Of a contact with this damping ratio, which ends when its force would pull."""
    root = math.sqrt(1 - ratio**2)
    phase = math.atan2(2 * ratio * root, 2 * ratio**2 - 1)
    return math.exp(-ratio / root * phase)
