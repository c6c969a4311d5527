"""worldmodel/Swing-v0: swing a pendulum up by a torque too weak to lift it at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from worldmodel.envs.scenes.mjcf import DRAWN_ONLY, VIEW_DISTANCE, document, front_view, motor, numbers
from worldmodel.envs.scenes.options import Range, colour, fixed
from worldmodel.envs.scenes.scene import MujocoScene, Start

MAX_TORQUE = 1.4  # [N m]; holding the default bob out level takes 3.9
_VIEW = 1.2  # half-width of what the camera sees [m]
_WALL, _STEEL = (0.83, 0.87, 0.92), "0.25 0.27 0.33"


class SwingEnv(MujocoScene):
    """A pendulum on a motor, seen from the front; the ring marks where the bob is to be held.

    Action: Box(-1, 1, (1,)): torque (positive: towards the right of the picture when hanging) times `max_torque`, held
    for 0.05 s; Discrete(3): none, positive, negative. Reward per step: -(angle from upright [rad])^2 - 0.1 * (angular
    velocity [rad/s])^2 - 0.001 * action^2. Nothing ends an episode but the time limit of 200 steps.
    Start: any angle, up to 2 rad/s. qpos is the angle from hanging, of any number of turns. Without torque and
    friction (the default) the energy stays the same to 1e-3 in 10 s (RK4).
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012
    objects = ("bob",)
    moves = ((0,), (1,), (-1,))
    frame_skip = 5
    ranges: ClassVar[dict[str, Range]] = {
        "angle": Range(
            None, (-np.pi, np.pi), (-np.pi, np.pi), "rad", "first angle from hanging; None: at random"
        ),
        "velocity": Range(
            None, (-2.0, 2.0), (-10.0, 10.0), "rad/s", "first angular velocity; None: at random"
        ),
        "mass": fixed(0.5, (0.1, 2.0), "kg", "mass of the bob; the rod has none"),
        "length": fixed(0.8, (0.4, 1.0), "m", "from the axle to the middle of the bob"),
        "radius": fixed(0.18, (0.08, 0.2), "m", "radius of the bob"),
        "friction": fixed(0.0, (0.0, 1.0), "N m s/rad", "viscous friction in the axle"),
        "gravity": fixed(9.81, (0.0, 20.0), "m/s^2", "downwards"),
        "max_torque": fixed(MAX_TORQUE, (0.2, 8.0), "N m", "torque of action 1"),
        "bob_colour": colour((0.95, 0.55, 0.1), "colour of the bob"),
    }

    def mjcf(self, options: Mapping[str, Any]) -> str:
        """One hinge; the inertia is the bob's alone."""
        length, radius = options["length"], options["radius"]
        world = f"""{front_view(_VIEW, _WALL)}
    {_ring(radius + 0.05, length)}
    <body name="bob" pos="0 0 {-length}">
      <joint name="axle" type="hinge" axis="0 -1 0" pos="0 0 {length}" damping="{options["friction"]}"/>
      <geom name="rod" type="capsule" size="0.045" fromto="0 0 0 0 0 {length}" mass="0" rgba="{_STEEL} 1"/>
      <geom name="bob" type="sphere" size="{radius}" mass="{options["mass"]}"
        rgba="{numbers(options["bob_colour"])} 1"/>
    </body>
    <geom name="axle" type="sphere" size="0.1" rgba="{_STEEL} 1"/>"""
        return document(
            "swing",
            timestep=0.01,
            option=f'gravity="0 0 {-options["gravity"]}" integrator="RK4"',
            geom=DRAWN_ONLY,
            world=world,
            rest=f"<actuator>{motor('motor', 'axle', gear=options['max_torque'])}</actuator>",
        )

    def start(self, options: Mapping[str, Any], rng: np.random.Generator) -> Start:
        """Angle and velocity as given, else uniform over their training ranges."""
        angle, velocity = (self.ranges[name].value(options[name], rng) for name in ("angle", "velocity"))
        return Start(np.array([angle]), np.array([velocity]))

    def outcome(self, qvel_before: np.ndarray) -> tuple[float, bool]:
        """The reward of Gymnasium's Pendulum."""
        turned = self.data.qpos[0] / (2 * np.pi)
        from_upright = 2 * np.pi * (turned - np.floor(turned)) - np.pi
        cost = from_upright**2 + 0.1 * self.data.qvel[0] ** 2 + 0.001 * self.data.ctrl[0] ** 2
        return -float(cost), False


def _ring(radius: float, height: float) -> str:
    """Dots around where the bob is to be, a little behind it but in line with it for the camera."""
    behind = 0.3
    scale = (VIEW_DISTANCE + behind) / VIEW_DISTANCE
    turns = 2 * np.pi * np.arange(24) / 24
    return "\n    ".join(
        f'<geom name="ring{i}" type="sphere" size="0.03" pos="{radius * scale * x} {behind} '
        f'{(height + radius * z) * scale}" rgba="0.25 0.8 0.35 1"/>'
        for i, (x, z) in enumerate(zip(np.cos(turns), np.sin(turns), strict=True))
    )
