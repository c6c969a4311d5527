"""worldmodel/CartPole-v0: keep a pole upright on a cart; the episode ends when it falls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from worldmodel.envs.scenes.mjcf import DRAWN_ONLY, document, front_view, motor, numbers
from worldmodel.envs.scenes.options import Range, colour, fixed
from worldmodel.envs.scenes.scene import MujocoScene, Start

MAX_FORCE = 5.0  # [N]
RAIL = 1.0  # the cart's middle may be so far from the rail's [m]
MAX_ANGLE = 0.8  # from upright [rad], 46 degrees: then the pole has fallen
_CART = 0.18  # half-width [m]
_VIEW, _HEIGHT = (
    1.25,
    0.5,
)  # half-width of what the camera sees, and the height of its middle above the rail [m]
_STEEL = "0.25 0.27 0.33"


class CartPoleEnv(MujocoScene):
    """A pole on a hinge on a cart on a rail, seen from the front.

    Action: Box(-1, 1, (1,)): force on the cart (positive: right) times 5 N, held for 0.02 s; Discrete(2): left, right.
    Reward: 1 per step that does not end the episode. It ends when the pole leans more than 0.8 rad or the cart's middle
    is more than 1 m from the rail's; the time limit is 500 steps. Start: drawn near upright and at rest. qpos is (place
    of the cart [m], angle of the pole from upright [rad], positive to the right).
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 50}  # noqa: RUF012
    objects = ("cart", "pole")
    moves = ((-1,), (1,))
    frame_skip = 2
    ranges: ClassVar[dict[str, Range]] = {
        "position": Range(None, (-0.3, 0.3), (-RAIL, RAIL), "m", "first place of the cart; None: at random"),
        "angle": Range(None, (-0.15, 0.15), (-MAX_ANGLE, MAX_ANGLE), "rad", "first lean; None: at random"),
        "velocity": Range(
            None, (-0.2, 0.2), (-2.0, 2.0), "m/s", "the cart's first velocity; None: at random"
        ),
        "angular_velocity": Range(
            None, (-0.3, 0.3), (-3.0, 3.0), "rad/s", "the pole's first angular velocity; None: at random"
        ),
        "cart_mass": fixed(1.0, (0.2, 5.0), "kg", "mass of the cart"),
        "pole_mass": fixed(0.2, (0.05, 1.0), "kg", "mass of the pole"),
        "pole_length": fixed(0.9, (0.4, 1.1), "m", "length of the pole"),
        "friction": fixed(0.0, (0.0, 5.0), "N s/m", "viscous drag on the cart"),
        "gravity": fixed(9.81, (1.0, 20.0), "m/s^2", "downwards"),
        "cart_colour": colour((0.2, 0.35, 0.8), "colour of the cart"),
        "pole_colour": colour((1.0, 0.4, 0.15), "colour of the pole"),
    }

    def mjcf(self, options: Mapping[str, Any]) -> str:
        """A slide and a hinge. Nothing collides: the episode is over before anything could."""
        half = options["pole_length"] / 2
        world = f"""{front_view(_VIEW, (0.85, 0.88, 0.9), _HEIGHT)}
    <geom name="ground" type="box" size="3 0.05 1" pos="0 0.35 -1.1" rgba="0.85 0.72 0.55 1"/>
    <geom name="rail" type="capsule" size="0.03" fromto="{-RAIL} 0.1 0 {RAIL} 0.1 0" rgba="{_STEEL} 1"/>
    <geom name="left_end" type="box" size="0.03 0.05 0.12" pos="{-RAIL - _CART - 0.03} 0.1 0" rgba="{_STEEL} 1"/>
    <geom name="right_end" type="box" size="0.03 0.05 0.12" pos="{RAIL + _CART + 0.03} 0.1 0" rgba="{_STEEL} 1"/>
    <body name="cart">
      <joint name="slide" type="slide" axis="1 0 0" damping="{options["friction"]}"/>
      <geom name="cart" type="box" size="{_CART} 0.1 0.1" mass="{options["cart_mass"]}"
        rgba="{numbers(options["cart_colour"])} 1"/>
      <body name="pole" pos="0 -0.14 {half}">
        <joint name="hinge" type="hinge" axis="0 1 0" pos="0 0 {-half}"/>
        <geom name="pole" type="capsule" size="0.06" fromto="0 0 {-half} 0 0 {half}" mass="{options["pole_mass"]}"
          rgba="{numbers(options["pole_colour"])} 1"/>
      </body>
    </body>"""
        return document(
            "cartpole",
            timestep=0.01,
            option=f'gravity="0 0 {-options["gravity"]}" integrator="RK4"',
            geom=DRAWN_ONLY,
            world=world,
            rest=f"<actuator>{motor('motor', 'slide', gear=MAX_FORCE)}</actuator>",
        )

    def start(self, options: Mapping[str, Any], rng: np.random.Generator) -> Start:
        """As given, else uniform over the training ranges."""
        names = ("position", "angle", "velocity", "angular_velocity")
        values = [self.ranges[name].value(options[name], rng) for name in names]
        return Start(np.array(values[:2]), np.array(values[2:]))

    def outcome(self, qvel_before: np.ndarray) -> tuple[float, bool]:
        """One for every step survived."""
        position, angle = self.data.qpos
        fallen = bool(abs(angle) > MAX_ANGLE or abs(position) > RAIL)
        return float(not fallen), fallen
