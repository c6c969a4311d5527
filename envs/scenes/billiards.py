"""worldmodel/Billiards-v0: several free balls on a table, and one that is driven into them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from worldmodel.envs.scenes.mjcf import ABSENT, document, elastic, motor, numbers
from worldmodel.envs.scenes.options import Range, colour, fixed, vector
from worldmodel.envs.scenes.placing import Spot, place
from worldmodel.envs.scenes.scene import MujocoScene, Start
from worldmodel.envs.scenes.table import HALF, ROOM, table

MAX_BALLS = 6
MAX_FORCE = 2.0  # on the driven ball [N] per axis
ENERGY_UNIT = 0.1  # that earns a reward of 1 [J]
_FELT, _WOOD = (0.2, 0.5, 0.34), (0.42, 0.26, 0.15)
_WHITE = (1.0, 1.0, 0.98)
_COLOURS = (
    (0.95, 0.8, 0.1),
    (0.85, 0.15, 0.12),
    (0.15, 0.3, 0.85),
    (0.95, 0.5, 0.1),
    (0.5, 0.2, 0.6),
    (0.1, 0.1, 0.12),
)
NAMES = ("driven", *(f"ball_{i + 1}" for i in range(MAX_BALLS)))


def _ball_options(name: str, rgb: tuple[float, float, float]) -> dict[str, Range]:
    what = name.replace("_", " ")
    speed = 0.0 if name == "driven" else 0.5
    at_rest = (0.0, 0.0) if name == "driven" else None
    return {
        name: vector(None, HALF, HALF, "m", f"where {what} starts; None: at random"),
        f"{name}_velocity": vector(at_rest, speed, 2.0, "m/s", f"first velocity of {what}; None: at random"),
        f"{name}_colour": colour(rgb, f"colour of {what}"),
    }


class BilliardsEnv(MujocoScene):
    """Balls of distinct colours on a walled table, seen from above, near elastic; a force drives the white one.

    Action: Box(-1, 1, (2,)): force along x (right in the picture) and y (up), times 2 N, held for 0.1 s; Discrete(5):
    none, right, left, up, down. Reward per step: the kinetic energy that the free balls won in it, in units of 0.1 J
    (negative when they lost some): strike hard and often. Nothing ends an episode but the time limit of 100 steps.
    Start: anywhere apart; free balls have up to 0.5 m/s along each axis. qpos is x and y of every ball [m], the driven
    one's first. Balls slide without spin, and only the driven one is slowed down much, to 1 m/s along an axis.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    objects = NAMES
    moves = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
    frame_skip = 50
    ranges: ClassVar[dict[str, Range]] = {
        "balls": Range(4, None, (1, MAX_BALLS), "balls", "how many free balls there are", whole=True),
        "driven_mass": fixed(0.4, (0.1, 2.0), "kg", "mass of the driven ball"),
        "mass": fixed(0.4, (0.1, 2.0), "kg", "mass of a free ball"),
        "radius": fixed(0.14, (0.06, 0.2), "m", "radius of every ball"),
        "driven_friction": fixed(2.0, (0.0, 10.0), "N s/m", "viscous drag on the driven ball"),
        "friction": fixed(0.02, (0.0, 1.0), "N s/m", "viscous drag on a free ball"),
        "restitution": fixed(
            0.95, (0.3, 1.0), "of the speed", "share of its speed that an impact gives back"
        ),
        **{
            name: option
            for ball, rgb in zip(NAMES, (_WHITE, *_COLOURS), strict=True)
            for name, option in _ball_options(ball, rgb).items()
        },
    }

    def mjcf(self, options: Mapping[str, Any]) -> str:
        """The table. An impact lasts 0.03 s, 16 simulation steps."""
        balls = "".join(_ball(i, options) for i in range(1 + MAX_BALLS))
        motors = motor("motor", "driven_x", gear=MAX_FORCE) + motor("motor", "driven_y", gear=MAX_FORCE)
        return document(
            "billiards",
            timestep=0.002,
            option='gravity="0 0 0" integrator="implicitfast"',
            geom=f'friction="0" condim="1" solref="{elastic(options["restitution"])}"',
            world=table(_FELT, _WOOD) + balls,
            rest=f"<actuator>{motors}</actuator>",
        )

    def presence(self, options: Mapping[str, Any]) -> np.ndarray:
        """The driven ball and the first `balls` free ones."""
        return np.arange(1 + MAX_BALLS) <= options["balls"]

    def start(self, options: Mapping[str, Any], rng: np.random.Generator) -> Start:
        """As given, else at random. Raises EnvError where balls would overlap."""
        velocities = [self.ranges[f"{n}_velocity"].value(options[f"{n}_velocity"], rng) for n in NAMES]
        there = self.presence(options)
        qpos, qvel = np.zeros((len(NAMES), 2)), np.array(velocities) * there[:, None]
        spots = [
            Spot(NAMES[i], options["radius"], options[NAMES[i]], ROOM, ROOM) for i in np.flatnonzero(there)
        ]
        qpos[there] = place(spots, rng)
        return Start(qpos.ravel(), qvel.ravel())

    def outcome(self, qvel_before: np.ndarray) -> tuple[float, bool]:
        """What the free balls won."""
        energies = [self.options["mass"] * float(v[2:] @ v[2:]) / 2 for v in (qvel_before, self.data.qvel)]
        return (energies[1] - energies[0]) / ENERGY_UNIT, False


def _ball(index: int, options: Mapping[str, Any]) -> str:
    name, kind = NAMES[index], "driven_" if index == 0 else ""
    damping, mass, radius = options[f"{kind}friction"], options[f"{kind}mass"], options["radius"]
    there = "" if index <= options["balls"] else ABSENT
    return f"""
    <body name="{name}" pos="0 0 {radius}">
      <joint name="{name}_x" type="slide" axis="1 0 0" damping="{damping}"/>
      <joint name="{name}_y" type="slide" axis="0 1 0" damping="{damping}"/>
      <geom name="{name}" type="sphere" size="{radius}" mass="{mass}" {there}
        rgba="{numbers(options[f"{name}_colour"])} 1"/>
    </body>"""
