"""worldmodel/Hide-v0: balls roll through a tunnel, out of sight, and come out again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from worldmodel.envs.scenes.mjcf import ABSENT, DRAWN_ONLY, document, elastic, motor, numbers
from worldmodel.envs.scenes.options import Range, colour, fixed, vector
from worldmodel.envs.scenes.placing import Corner, Spot, place
from worldmodel.envs.scenes.scene import MujocoScene, Start

MAX_BALLS = 3
MAX_FORCE = 0.8  # on the driven ball [N] per axis
HALF_X, HALF_Y = 1.0, 0.85  # half the floor between the walls [m]
_WALL, _RIM = 0.08, 0.12  # thickness and height of the walls [m]
_ROLLING = 0.4  # a ball that rolls without slipping is so much harder to speed up than its mass says (2/5)
_FLOOR, _WALLS, _TUNNEL, _GOAL = (0.9, 0.87, 0.8), (0.45, 0.4, 0.38), (0.35, 0.45, 0.6), (0.45, 0.85, 0.45)
_COLOURS = ((0.9, 0.15, 0.1), (0.95, 0.75, 0.1), (0.1, 0.1, 0.15))
_ROOM = ((-HALF_X, -HALF_Y), (HALF_X, HALF_Y))
NAMES = tuple(f"ball_{i + 1}" for i in range(MAX_BALLS))


def _ball_options(ball: int) -> dict[str, Range]:
    name = NAMES[ball]
    return {
        name: vector(None, HALF_X, HALF_X, "m", f"where ball {ball + 1} starts; None: at random, in sight"),
        f"{name}_velocity": vector(
            None, 1.0, 2.0, "m/s", f"first velocity of ball {ball + 1}; None: at random, towards the tunnel"
        ),
        f"{name}_colour": colour(_COLOURS[ball], f"colour of ball {ball + 1}"),
    }


class HideEnv(MujocoScene):
    """Balls roll about a walled floor with a tunnel across its middle, seen from the front and above.

    The agent nudges the red ball, but not while its centre is in the tunnel. The others roll freely.
    Action: Box(-1, 1, (2,)): force along x (right in the picture) and y (away), times 0.8 N, held for 0.1 s;
    Discrete(5): none, right, left, away, near. Reward per step: -(distance of the red ball and the goal [m]), and 1
    more while its centre is on the goal disc. Nothing ends an episode but the time limit of 100 steps.
    Start: the balls in sight on either side and 0.4 to 1 m/s fast, so that they enter the tunnel in the next two
    seconds; the goal beyond the tunnel from the red ball. qpos is x and y of every ball [m]; the goal's place is part
    of the state. `visible_area` and `unoccluded_area` in info tell how much of a ball is hidden.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    objects = NAMES
    moves = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
    frame_skip = 50
    ranges: ClassVar[dict[str, Range]] = {
        "balls": Range(2, None, (1, MAX_BALLS), "balls", "how many there are", whole=True),
        "goal": vector(None, HALF_X, HALF_X, "m", "centre of the goal; None: at random, beyond the tunnel"),
        "mass": fixed(0.3, (0.1, 2.0), "kg", "mass of a ball"),
        "radius": fixed(0.15, (0.08, 0.2), "m", "radius of a ball"),
        "friction": fixed(0.02, (0.0, 1.0), "N s/m", "viscous drag on a ball"),
        "restitution": fixed(
            0.95, (0.3, 1.0), "of the speed", "share of its speed that an impact gives back"
        ),
        "tolerance": fixed(0.2, (0.05, 0.4), "m", "radius of the goal"),
        "tunnel": fixed(0.35, (0.0, 0.6), "m", "half-width of the tunnel; 0: none"),
        "tunnel_colour": colour(_TUNNEL, "colour of the tunnel"),
        "goal_colour": colour(_GOAL, "colour of the goal"),
        **{name: option for ball in range(MAX_BALLS) for name, option in _ball_options(ball).items()},
    }

    def mjcf(self, options: Mapping[str, Any]) -> str:
        """Floor, walls, tunnel (drawn only), balls, and the goal: a mocap body, which makes it a part of the state."""
        world = f"""<camera name="view" pos="0 -3.0 4.2" xyaxes="1 0 0 0 0.81 0.59" fovy="24"/>
    <geom name="floor" type="box" size="{HALF_X + _WALL} {HALF_Y + _WALL} 0.05" pos="0 0 -0.05" {DRAWN_ONLY}
      rgba="{numbers(_FLOOR)} 1"/>
    <geom name="ground" type="box" size="20 20 0.05" pos="0 0 -0.2" rgba="0.62 0.72 0.8 1" {DRAWN_ONLY}/>
    {_walls()}
    {_tunnel(options)}
    <body name="goal" mocap="true">
      <geom name="goal" type="cylinder" size="{options["tolerance"]} 0.002" rgba="{numbers(options["goal_colour"])} 1"
        {DRAWN_ONLY}/>
    </body>
    {"".join(_ball(i, options) for i in range(MAX_BALLS))}"""
        motors = motor("motor", "ball_1_x", gear=MAX_FORCE) + motor("motor", "ball_1_y", gear=MAX_FORCE)
        return document(
            "hide",
            timestep=0.002,
            option='gravity="0 0 0" integrator="implicitfast"',
            geom=f'friction="0" condim="1" solref="{elastic(options["restitution"])}"',
            world=world,
            rest=f"<actuator>{motors}</actuator>",
        )

    def presence(self, options: Mapping[str, Any]) -> np.ndarray:
        """The first `balls` balls."""
        return np.arange(MAX_BALLS) < options["balls"]

    def start(self, options: Mapping[str, Any], rng: np.random.Generator) -> Start:
        """As given, else at random. Raises EnvError where balls would overlap."""
        there = self.presence(options)
        sides = np.where(rng.random(MAX_BALLS) < 0.5, -1.0, 1.0)
        spots = [
            Spot(name, options["radius"], options[name], _ROOM, _side(side, options))
            for name, side, present in zip(NAMES, sides, there, strict=True)
            if present
        ]
        qpos = np.zeros((MAX_BALLS, 2))
        qpos[there] = place(spots, rng)
        along, across = rng.uniform(0.4, 1.0, MAX_BALLS), rng.uniform(-0.5, 0.5, MAX_BALLS)
        qvel = np.stack([-np.sign(qpos[:, 0]) * along, across], axis=1)
        for i, name in enumerate(NAMES):
            if options[f"{name}_velocity"] is not None:
                qvel[i] = options[f"{name}_velocity"]
        qvel[~there] = 0
        goal = self._goal(options, -np.sign(qpos[0, 0]), rng)
        return Start(qpos.ravel(), qvel.ravel(), np.array([[*goal, 0.002]]))

    def _goal(self, options: Mapping[str, Any], side: float, rng: np.random.Generator) -> np.ndarray:
        spot = Spot("goal", options["tolerance"], options["goal"], _ROOM, _side(side, options))
        return place([spot], rng)[0]

    def control(self, ctrl: np.ndarray) -> np.ndarray:
        """No force on what cannot be seen."""
        return ctrl * (abs(self.data.qpos[0]) >= self.options["tunnel"])

    def outcome(self, qvel_before: np.ndarray) -> tuple[float, bool]:
        """Near the goal is good, on it better."""
        distance = float(np.linalg.norm(self.data.qpos[:2] - self.data.mocap_pos[0, :2]))
        return -distance + float(distance <= self.options["tolerance"]), False

    def extra_state(self) -> np.ndarray:
        """The goal [2]."""
        return self.data.mocap_pos[0, :2]


def _side(side: float, options: Mapping[str, Any]) -> tuple[Corner, Corner]:
    """Where a ball is in sight, left (-1) or right (1) of the tunnel."""
    near, far = options["tunnel"] + options["radius"], HALF_X
    low, high = sorted((side * near, side * far))
    return (low, -HALF_Y), (high, HALF_Y)


def _walls() -> str:
    sides = {"left": (-1, 0), "right": (1, 0), "front": (0, -1), "back": (0, 1)}
    half_x, half_y, wall = HALF_X + _WALL, HALF_Y + _WALL, _WALL / 2
    return "\n    ".join(
        f'<geom name="{name}" type="box" rgba="{numbers(_WALLS)} 1" '
        f'pos="{x * (HALF_X + wall)} {y * (HALF_Y + wall)} {_RIM / 2}" '
        f'size="{wall if x else half_x} {wall if y else half_y} {_RIM / 2}"/>'
        for name, (x, y) in sides.items()
    )


def _tunnel(options: Mapping[str, Any]) -> str:
    half, height = options["tunnel"], 2 * options["radius"] + 0.06
    if half == 0:
        return ""
    return (
        f'<geom name="tunnel" type="box" size="{half} {HALF_Y + _WALL} {height / 2}" pos="0 0 {height / 2}" '
        f'rgba="{numbers(options["tunnel_colour"])} 1" {DRAWN_ONLY}/>'
    )


def _ball(index: int, options: Mapping[str, Any]) -> str:
    name, radius, mass = NAMES[index], options["radius"], options["mass"]
    there = "" if index < options["balls"] else ABSENT
    joint = f'type="slide" damping="{options["friction"]}" armature="{_ROLLING * mass}"'
    return f"""
    <body name="{name}" pos="0 0 {radius}">
      <joint name="{name}_x" axis="1 0 0" {joint}/>
      <joint name="{name}_y" axis="0 1 0" {joint}/>
      <geom name="{name}" type="sphere" size="{radius}" mass="{mass}" {there}
        rgba="{numbers(options[f"{name}_colour"])} 1"/>
    </body>"""
