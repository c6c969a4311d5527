"""A walled square table seen from straight above: Push and Billiards stand on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from worldmodel.envs.scenes.mjcf import DRAWN_ONLY, numbers

HALF = 1.0  # half-width between the walls [m]
ROOM = ((-HALF, -HALF), (HALF, HALF))
RIM = 0.12  # height of the walls [m]
_WALL = 0.1  # wall thickness [m]
_CAMERA_HEIGHT = 5.0


def table(surface: Sequence[float], walls: Sequence[float]) -> str:
    """Camera "view", table top and four walls, in these colours. The camera just holds the walls' tops."""
    fovy = 2 * np.rad2deg(np.arctan((HALF + _WALL) / (_CAMERA_HEIGHT - RIM)))
    return f"""<camera name="view" pos="0 0 {_CAMERA_HEIGHT}" fovy="{fovy:.9g}"/>
    <geom name="table" type="box" size="1.3 1.3 0.05" pos="0 0 -0.05" rgba="{numbers(surface)} 1" {DRAWN_ONLY}/>
    {_walls(walls)}"""


def _walls(rgb: Sequence[float]) -> str:
    middle, half, rim = HALF + _WALL / 2, HALF + _WALL, RIM / 2
    sides = {"left": (-1, 0), "right": (1, 0), "bottom": (0, -1), "top": (0, 1)}
    return "\n    ".join(
        f'<geom name="{name}" type="box" pos="{x * middle} {y * middle} {rim}" rgba="{numbers(rgb)} 1" '
        f'size="{_WALL / 2 if x else half} {_WALL / 2 if y else half} {rim}"/>'
        for name, (x, y) in sides.items()
    )
