"""worldmodel/Push-v0: push a puck onto a goal on a walled table, seen from above."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from worldmodel.envs.options import Range
from worldmodel.envs.scene import MujocoScene
from worldmodel.errors import EnvError

TABLE = 1.0  # half-width between the walls [m]
# Drawn at random, the puck starts this near the middle [m]: one at a wall could hardly be pushed back.
PUCK_START = 0.6
WALL = 0.1  # wall thickness [m]
MAX_FORCE = 2.25  # [N] per axis
SUCCESS_REWARD = 5.0
_RIM = 0.12  # height of walls and pucks [m]
_CAMERA_HEIGHT = 5.0
_RED, _BLUE, _GREEN = (0.9, 0.12, 0.1), (0.1, 0.25, 0.9), (0.25, 0.8, 0.3)


def _place(meaning: str, default: tuple[float, float] | None = None) -> Range:
    return Range(default, (-TABLE, TABLE), (-TABLE, TABLE), "m", meaning, size=2)


def _speed(meaning: str) -> Range:
    return Range((0.0, 0.0), (0.0, 0.0), (-2.0, 2.0), "m/s", meaning, size=2)


def _colour(meaning: str, default: tuple[float, float, float]) -> Range:
    return Range(default, (0.0, 1.0), (0.0, 1.0), "rgb", meaning, size=3)


class PushEnv(MujocoScene):
    """A red puck, driven by a force, is to push a blue puck onto a green goal disc.

    Action: Box(-1, 1, (2,)): force along x (right in the picture) and y (up), times 2.25 N, held for 0.1 s.
    Reward per step: -(distance of puck and goal [m]) - 0.3 * (gap between agent and puck [m], at least 0), and +5 when
    the puck's centre is within `tolerance` of the goal, which ends the episode. 100 steps are the time limit.
    Start: both at rest and apart, the agent anywhere on the table, the puck within 0.6 m of the middle on each axis but
    not on the goal, which is in the middle. The agent's top speed along an axis is 1.1 m/s, its time constant 0.25 s.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    objects = ("agent", "puck")
    frame_skip = 20
    ranges: ClassVar[dict[str, Range]] = {
        "agent": _place("where the agent starts; None: at random"),
        "puck": _place("where the puck starts; None: at random, within 0.6 m of the middle on each axis"),
        "goal": _place("centre of the goal", default=(0.0, 0.0)),
        "agent_velocity": _speed("the agent's first velocity"),
        "puck_velocity": _speed("the puck's first velocity"),
        "agent_mass": Range(0.5, (0.5, 0.5), (0.1, 5.0), "kg", "mass of the agent"),
        "puck_mass": Range(0.4, (0.4, 0.4), (0.1, 5.0), "kg", "mass of the puck"),
        "agent_friction": Range(2.0, (2.0, 2.0), (0.0, 10.0), "N s/m", "viscous drag on the agent"),
        "puck_friction": Range(0.8, (0.8, 0.8), (0.0, 10.0), "N s/m", "viscous drag on the puck"),
        "agent_radius": Range(0.15, (0.15, 0.15), (0.05, 0.3), "m", "radius of the agent"),
        "puck_radius": Range(0.2, (0.2, 0.2), (0.05, 0.3), "m", "radius of the puck"),
        "tolerance": Range(
            0.2, (0.2, 0.2), (0.02, 0.5), "m", "radius of the goal: how close counts as success"
        ),
        "agent_colour": _colour("colour of the agent", _RED),
        "puck_colour": _colour("colour of the puck", _BLUE),
        "goal_colour": _colour("colour of the goal", _GREEN),
    }

    def mjcf(self, options: Mapping[str, Any]) -> str:
        """The table. Pucks collide as spheres (exact contacts in the plane) and are drawn as discs.

        Twice the time step, and a bounce would gain speed: contacts must last several steps.
        """
        return f"""
<mujoco model="push">
  <option timestep="0.005" gravity="0 0 0" integrator="implicitfast"><flag energy="enable"/></option>
  <visual><headlight ambient="0.42 0.42 0.42" diffuse="0 0 0" specular="0 0 0"/></visual>
  <default><geom friction="0" condim="1" solref="0.02 0.35"/></default>
  <worldbody>
    <camera name="view" pos="0 0 {_CAMERA_HEIGHT}" fovy="{_fovy():.9g}"/>
    <light type="directional" dir="0.35 0.45 -0.82" diffuse="0.68 0.68 0.68" specular="0 0 0" castshadow="false"/>
    <geom name="table" type="box" size="1.3 1.3 0.05" pos="0 0 -0.05" rgba="0.93 0.91 0.86 1"
      contype="0" conaffinity="0"/>
    <geom name="goal" type="cylinder" size="{options["tolerance"]} 0.001" pos="{_numbers(options["goal"])} 0.001"
      rgba="{_numbers(options["goal_colour"])} 1" contype="0" conaffinity="0"/>
    {_walls()}
    {_puck("agent", options)}
    {_puck("puck", options)}
  </worldbody>
  <actuator>
    <motor joint="agent_x" gear="{MAX_FORCE}" ctrllimited="true" ctrlrange="-1 1"/>
    <motor joint="agent_y" gear="{MAX_FORCE}" ctrllimited="true" ctrlrange="-1 1"/>
  </actuator>
</mujoco>"""

    def start(self, options: Mapping[str, Any], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Positions as given, else uniform over the free table. Raises EnvError where pucks would overlap."""
        touching = options["agent_radius"] + options["puck_radius"]
        keep_off = [(np.array(options["goal"]), options["tolerance"])]
        if options["agent"] is not None:
            keep_off.append((np.array(options["agent"]), touching + 0.02))
        puck = _place_puck("puck", options, PUCK_START, keep_off, rng)
        agent = _place_puck("agent", options, TABLE, [(puck, touching + 0.02)], rng)
        if np.linalg.norm(agent - puck) < touching:
            raise EnvError(
                f"options 'agent' and 'puck' must be at least {touching:g} m apart: the pucks would overlap."
            )
        velocities = [*options["agent_velocity"], *options["puck_velocity"]]
        return np.concatenate([agent, puck]), np.array(velocities)

    def outcome(self) -> tuple[float, bool]:
        """Dense reward; success ends the episode."""
        agent, puck = self.data.qpos[:2], self.data.qpos[2:4]
        to_goal = float(np.linalg.norm(puck - np.array(self.options["goal"])))
        gap = float(np.linalg.norm(agent - puck)) - self.options["agent_radius"] - self.options["puck_radius"]
        success = to_goal <= self.options["tolerance"]
        return -to_goal - 0.3 * max(0.0, gap) + SUCCESS_REWARD * success, bool(success)

    def extra_state(self) -> np.ndarray:
        """The goal [2]."""
        return np.array(self.options["goal"])


def _place_puck(
    name: str,
    options: Mapping[str, Any],
    within: float,
    keep_off: list[tuple[np.ndarray, float]],
    rng: np.random.Generator,
) -> np.ndarray:
    """Position [2] from the option, else drawn at most `within` from the middle on each axis, and farther from every
    (place, gap) in `keep_off` than that gap."""
    reach = TABLE - options[f"{name}_radius"]
    if options[name] is not None:
        if max(map(abs, options[name])) > reach:
            raise EnvError(
                f"option {name!r} must be within {reach:g} m of the table's centre lines: the wall is there."
            )
        return np.array(options[name])
    reach = min(reach, within)
    for _ in range(1000):
        place = rng.uniform(-reach, reach, size=2)
        if all(np.linalg.norm(place - other) > gap for other, gap in keep_off):
            return place
    raise EnvError(
        f"these options leave no room on the table for {name!r}: make a radius or the tolerance smaller."
    )


def _fovy() -> float:
    """Field of view in degrees that just holds the outer edges of the walls' tops."""
    return float(2 * np.rad2deg(np.arctan((TABLE + WALL) / (_CAMERA_HEIGHT - _RIM))))


def _walls() -> str:
    middle, half, rim = TABLE + WALL / 2, TABLE + WALL, _RIM / 2
    sides = {"left": (-1, 0), "right": (1, 0), "bottom": (0, -1), "top": (0, 1)}
    return "\n    ".join(
        f'<geom name="{name}" type="box" pos="{x * middle} {y * middle} {rim}" rgba="0.3 0.32 0.4 1" '
        f'size="{WALL / 2 if x else half} {WALL / 2 if y else half} {rim}"/>'
        for name, (x, y) in sides.items()
    )


def _puck(name: str, options: Mapping[str, Any]) -> str:
    radius, friction = options[f"{name}_radius"], options[f"{name}_friction"]
    return f"""<body name="{name}" pos="0 0 {_RIM / 2}">
      <joint name="{name}_x" type="slide" axis="1 0 0" damping="{friction}"/>
      <joint name="{name}_y" type="slide" axis="0 1 0" damping="{friction}"/>
      <geom name="{name}" type="sphere" size="{radius}" mass="{options[f"{name}_mass"]}" group="3"/>
      <geom name="{name}_disc" type="cylinder" size="{radius} {_RIM / 2}" mass="0" contype="0" conaffinity="0"
        rgba="{_numbers(options[f"{name}_colour"])} 1"/>
    </body>"""


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(str(float(v)) for v in values)
