"""worldmodel/Bounce-v0: keep bouncing balls up with a paddle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from worldmodel.envs.scenes.mjcf import ABSENT, document, elastic, front_view, motor, numbers
from worldmodel.envs.scenes.options import Range, colour, fixed, vector
from worldmodel.envs.scenes.placing import Spot, place
from worldmodel.envs.scenes.scene import MujocoScene, Start
from worldmodel.errors import EnvError

MAX_BALLS = 4
MAX_SPEED = 2.0  # of the paddle [m/s]
HALF = 1.0  # half-width between the walls [m]
CEILING = 2.0  # [m]
PADDLE = 0.1  # height of the paddle's top [m]
LOST = -0.1  # a ball whose middle is below this height is lost [m]
_ROOM = ((-HALF, PADDLE), (HALF, CEILING))
_DRAWN_IN = ((-HALF, 1.2), (HALF, CEILING))
_COLOURS = ((0.95, 0.25, 0.15), (0.15, 0.4, 0.95), (0.95, 0.75, 0.1), (0.2, 0.7, 0.3))


def _ball_options(ball: int) -> dict[str, Range]:
    name = f"ball_{ball}"
    return {
        name: vector(None, CEILING, CEILING, "m", f"where ball {ball} starts (x, height); None: at random"),
        f"{name}_velocity": vector(None, 0.7, 4.0, "m/s", f"first velocity of ball {ball}; None: at random"),
        f"{name}_colour": colour(_COLOURS[ball - 1], f"colour of ball {ball}"),
    }


class BounceEnv(MujocoScene):
    """Balls in an upright room without a floor, seen from the front; impacts are elastic, so they never come to rest.

    Action: Box(-1, 1, (1,)): velocity of the paddle (positive: right) times 2 m/s, held for 0.05 s; Discrete(3): stay,
    right, left. Reward per step: 1 for every ball that turned upwards at the paddle. The episode ends when a ball is
    lost below it; the time limit is 300 steps. Start: balls in the upper part, up to 0.7 m/s along each axis, paddle
    anywhere. qpos is (place of the paddle, then x and height of every ball) [m].
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012
    objects = ("paddle", *(f"ball_{i + 1}" for i in range(MAX_BALLS)))
    moves = ((0,), (1,), (-1,))
    frame_skip = 50
    ranges: ClassVar[dict[str, Range]] = {
        "balls": Range(1, None, (1, MAX_BALLS), "balls", "how many there are", whole=True),
        "paddle": Range(None, (-0.7, 0.7), (-0.9, 0.9), "m", "first place of the paddle; None: at random"),
        "mass": fixed(0.2, (0.05, 2.0), "kg", "mass of a ball"),
        "radius": fixed(0.13, (0.06, 0.2), "m", "radius of a ball"),
        "gravity": fixed(3.0, (0.0, 15.0), "m/s^2", "downwards"),
        "friction": fixed(0.0, (0.0, 0.5), "N s/m", "viscous drag on a ball"),
        "restitution": fixed(1.0, (0.3, 1.0), "of the speed", "share of its speed that an impact gives back"),
        "paddle_width": fixed(0.3, (0.1, 0.4), "m", "half-width of the paddle"),
        "paddle_colour": colour((0.25, 0.27, 0.33), "colour of the paddle"),
        **{name: option for ball in range(1, MAX_BALLS + 1) for name, option in _ball_options(ball).items()},
    }

    def mjcf(self, options: Mapping[str, Any]) -> str:
        """The room. An impact lasts 0.03 s: with 50 simulation steps in that time the energy stays the same."""
        limit = HALF - options["paddle_width"]
        world = f"""{front_view(1.18, (0.84, 0.87, 0.9), 0.98)}
    {_wall("left", -HALF - 0.1, 1.0, 0.1, 1.2)}
    {_wall("right", HALF + 0.1, 1.0, 0.1, 1.2)}
    {_wall("ceiling", 0, CEILING + 0.1, 1.2, 0.1)}
    <body name="paddle" pos="0 0 {PADDLE - 0.06}">
      <joint name="paddle" type="slide" axis="1 0 0" range="{-limit} {limit}" limited="true"/>
      <geom name="paddle" type="box" size="{options["paddle_width"]} 0.15 0.06" mass="20"
        rgba="{numbers(options["paddle_colour"])} 1"/>
    </body>
    {"".join(_ball(i + 1, options) for i in range(MAX_BALLS))}"""
        return document(
            "bounce",
            timestep=0.001,
            option=f'gravity="0 0 {-options["gravity"]}"',
            geom=f'friction="0" condim="1" contype="0" solref="{elastic(options["restitution"])}"',
            world=world,
            rest=f"<actuator>{motor('velocity', 'paddle', kv=4000, gear=1 / MAX_SPEED)}</actuator>",
        )

    def presence(self, options: Mapping[str, Any]) -> np.ndarray:
        """The paddle and the first `balls` balls."""
        return np.arange(1 + MAX_BALLS) <= options["balls"]

    def start(self, options: Mapping[str, Any], rng: np.random.Generator) -> Start:
        """As given, else at random. Raises EnvError where balls would overlap, or the paddle a wall."""
        names = [f"ball_{i + 1}" for i in range(MAX_BALLS)]
        paddle = self._paddle(options, rng)
        velocities = [self.ranges[f"{n}_velocity"].value(options[f"{n}_velocity"], rng) for n in names]
        there = int(options["balls"])
        places = np.zeros((MAX_BALLS, 2))
        spots = [Spot(name, options["radius"], options[name], _ROOM, _DRAWN_IN) for name in names[:there]]
        places[:there] = place(spots, rng)
        speeds = np.array(velocities) * (np.arange(MAX_BALLS) < there)[:, None]
        return Start(np.array([paddle, *places.ravel()]), np.array([0.0, *speeds.ravel()]))

    def _paddle(self, options: Mapping[str, Any], rng: np.random.Generator) -> float:
        limit = HALF - options["paddle_width"]
        drawn = rng.uniform(-limit, limit)
        if options["paddle"] is None:
            return drawn
        if abs(options["paddle"]) > limit:
            raise EnvError(
                f"option 'paddle' must be from {-limit:g} to {limit:g} m for a paddle of this width."
            )
        return options["paddle"]

    def outcome(self, qvel_before: np.ndarray) -> tuple[float, bool]:
        """Counts the hits of this step; a ball below the paddle is lost."""
        balls = slice(2, 1 + 2 * int(self.options["balls"]), 2)  # their heights
        height, rising = self.data.qpos[balls], self.data.qvel[balls]
        seconds = self.frame_skip * self.model.opt.timestep
        # A ball that left the paddle in this step has not come higher than this; one that hit another ball may have.
        reach = PADDLE + self.options["radius"] + rising * seconds + self.options["gravity"] * seconds**2 / 2
        hits = (qvel_before[balls] < 0) & (rising > 0) & (height <= reach)
        return float(hits.sum()), bool((height < LOST).any())


def _wall(name: str, x: float, z: float, half_x: float, half_z: float) -> str:
    return f'<geom name="{name}" type="box" size="{half_x} 0.2 {half_z}" pos="{x} 0 {z}" rgba="0.5 0.55 0.65 1"/>'


def _ball(ball: int, options: Mapping[str, Any]) -> str:
    name, damping = f"ball_{ball}", options["friction"]
    there = 'contype="1"' if ball <= options["balls"] else ABSENT
    return f"""<body name="{name}" gravcomp="{int(ball > options["balls"])}">
      <joint name="{name}_x" type="slide" axis="1 0 0" damping="{damping}"/>
      <joint name="{name}_z" type="slide" axis="0 0 1" damping="{damping}"/>
      <geom name="{name}" type="sphere" size="{options["radius"]}" mass="{options["mass"]}" {there}
        rgba="{numbers(options[f"{name}_colour"])} 1"/>
    </body>
    """
