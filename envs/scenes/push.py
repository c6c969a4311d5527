"""worldmodel/Push-v0: push a puck onto a goal on a walled table, seen from above."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from worldmodel.envs.scenes.mjcf import DRAWN_ONLY, document, motor, numbers
from worldmodel.envs.scenes.options import Range, colour, fixed, vector
from worldmodel.envs.scenes.placing import Spot, place
from worldmodel.envs.scenes.scene import MujocoScene, Start
from worldmodel.envs.scenes.table import HALF, RIM, ROOM, table

MAX_FORCE = 2.25  # [N] per axis
SUCCESS_REWARD = 5.0
# Drawn at random, the puck starts this near the middle [m]: one at a wall could hardly be pushed back.
PUCK_START = ((-0.6, -0.6), (0.6, 0.6))
_SURFACE, _WALLS = (0.93, 0.91, 0.86), (0.3, 0.32, 0.4)
_RED, _BLUE, _GREEN = (0.9, 0.12, 0.1), (0.1, 0.25, 0.9), (0.25, 0.8, 0.3)


class PushEnv(MujocoScene):
    """A red puck, driven by a force, is to push a blue puck onto a green goal disc.

    Action: Box(-1, 1, (2,)): force along x (right in the picture) and y (up), times 2.25 N, held for 0.1 s;
    Discrete(5): none, right, left, up, down.
    Reward per step: -(distance of puck and goal [m]) - 0.3 * (gap between agent and puck [m], at least 0), and +5 when
    the puck's centre is within `tolerance` of the goal, which ends the episode. 100 steps are the time limit.
    Start: both at rest and apart, the agent anywhere on the table, the puck within 0.6 m of the middle on each axis but
    not on the goal, which is in the middle. The agent's top speed along an axis is 1.1 m/s, its time constant 0.25 s.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    objects = ("agent", "puck")
    moves = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
    frame_skip = 20
    ranges: ClassVar[dict[str, Range]] = {
        "agent": vector(None, HALF, HALF, "m", "where the agent starts; None: at random"),
        "puck": vector(None, 0.6, HALF, "m", "where the puck starts; None: at random"),
        "goal": vector((0.0, 0.0), 0.0, HALF, "m", "centre of the goal"),
        "agent_velocity": vector((0.0, 0.0), 0.0, 2.0, "m/s", "the agent's first velocity"),
        "puck_velocity": vector((0.0, 0.0), 0.0, 2.0, "m/s", "the puck's first velocity"),
        "agent_mass": fixed(0.5, (0.1, 5.0), "kg", "mass of the agent"),
        "puck_mass": fixed(0.4, (0.1, 5.0), "kg", "mass of the puck"),
        "agent_friction": fixed(2.0, (0.0, 10.0), "N s/m", "viscous drag on the agent"),
        "puck_friction": fixed(0.8, (0.0, 10.0), "N s/m", "viscous drag on the puck"),
        "agent_radius": fixed(0.15, (0.05, 0.3), "m", "radius of the agent"),
        "puck_radius": fixed(0.2, (0.05, 0.3), "m", "radius of the puck"),
        "tolerance": fixed(0.2, (0.02, 0.5), "m", "radius of the goal: how close counts as success"),
        "agent_colour": colour(_RED, "colour of the agent"),
        "puck_colour": colour(_BLUE, "colour of the puck"),
        "goal_colour": colour(_GREEN, "colour of the goal"),
    }

    def mjcf(self, options: Mapping[str, Any]) -> str:
        """The table. Pucks collide as spheres (exact contacts in the plane) and are drawn as discs.

        Twice the time step, and a bounce would gain speed: contacts must last several steps.
        """
        goal = f"""<geom name="goal" type="cylinder" size="{options["tolerance"]} 0.001" {DRAWN_ONLY}
      pos="{numbers(options["goal"])} 0.001" rgba="{numbers(options["goal_colour"])} 1"/>"""
        parts = [table(_SURFACE, _WALLS), goal, _puck("agent", options), _puck("puck", options)]
        motors = motor("motor", "agent_x", gear=MAX_FORCE) + motor("motor", "agent_y", gear=MAX_FORCE)
        return document(
            "push",
            timestep=0.005,
            option='gravity="0 0 0" integrator="implicitfast"',
            geom='friction="0" condim="1" solref="0.02 0.35"',
            world="\n    ".join(parts),
            rest=f"<actuator>{motors}</actuator>",
        )

    def start(self, options: Mapping[str, Any], rng: np.random.Generator) -> Start:
        """Positions as given, else uniform over the free table. Raises EnvError where pucks would overlap."""
        goal = (np.array(options["goal"]), options["tolerance"])
        spots = [
            Spot("puck", options["puck_radius"], options["puck"], ROOM, PUCK_START, (goal,)),
            Spot("agent", options["agent_radius"], options["agent"], ROOM, ROOM),
        ]
        puck, agent = place(spots, rng)
        velocities = [*options["agent_velocity"], *options["puck_velocity"]]
        return Start(np.concatenate([agent, puck]), np.array(velocities))

    def outcome(self, qvel_before: np.ndarray) -> tuple[float, bool]:
        """Dense reward; success ends the episode."""
        agent, puck = self.data.qpos[:2], self.data.qpos[2:4]
        to_goal = float(np.linalg.norm(puck - np.array(self.options["goal"])))
        gap = float(np.linalg.norm(agent - puck)) - self.options["agent_radius"] - self.options["puck_radius"]
        success = to_goal <= self.options["tolerance"]
        return -to_goal - 0.3 * max(0.0, gap) + SUCCESS_REWARD * success, bool(success)

    def extra_state(self) -> np.ndarray:
        """The goal [2]."""
        return np.array(self.options["goal"])


def _puck(name: str, options: Mapping[str, Any]) -> str:
    radius, friction = options[f"{name}_radius"], options[f"{name}_friction"]
    return f"""<body name="{name}" pos="0 0 {RIM / 2}">
      <joint name="{name}_x" type="slide" axis="1 0 0" damping="{friction}"/>
      <joint name="{name}_y" type="slide" axis="0 1 0" damping="{friction}"/>
      <geom name="{name}" type="sphere" size="{radius}" mass="{options[f"{name}_mass"]}" group="3"/>
      <geom name="{name}_disc" type="cylinder" size="{radius} {RIM / 2}" mass="0" {DRAWN_ONLY}
        rgba="{numbers(options[f"{name}_colour"])} 1"/>
    </body>"""
