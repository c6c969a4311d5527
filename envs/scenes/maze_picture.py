"""The picture of the maze game: sprites on a grid, in numpy alone."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from worldmodel.envs.scenes.maze_rules import NOWHERE, SIDE, MazeState

FLOOR, WALL, EDGE = (26, 28, 44), (72, 96, 168), (46, 62, 116)
PLAYER, COIN, ENEMY = (250, 210, 40), (245, 245, 235), (228, 52, 52)
_FINE = 8  # samples along each side of a drawn pixel


class MazePicture:
    """Draws states as uint8 [size,size,3]. A size that is no multiple of 8 is averaged from the next that is."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._cell = size // math.gcd(size, SIDE)  # pixels of a cell before averaging
        self._sprites = {name: _coverage(name, self._cell) for name in ("player", "coin", "enemy", "wall")}
        self._walls: tuple[bytes, np.ndarray] | None = None

    def draw(self, state: MazeState) -> np.ndarray:
        """Coins lie under enemies, enemies under the player."""
        picture = self._background(state.walls).copy()
        colours = {"coin": COIN, "enemy": ENEMY, "player": PLAYER}
        for name, cell in _sprites(state):
            self._blend(picture, cell, name, colours[name])
        return (self._shrunk(picture) + np.float32(0.5)).astype(np.uint8)

    def masks(self, state: MazeState) -> np.ndarray:
        """How much of every pixel the player, coins and enemies cover, float32 [3,size,size]."""
        side = SIDE * self._cell
        covers = np.zeros((side, side, 3), np.float32)
        places = {"player": 0, "coin": 1, "enemy": 2}
        for name, cell in _sprites(state):
            area, share = self._area(cell), self._sprites[name]
            covers[area] *= 1 - share
            covers[area][..., places[name]] += share[..., 0]
        return np.moveaxis(self._shrunk(covers), -1, 0)

    def _shrunk(self, picture: np.ndarray) -> np.ndarray:
        side = picture.shape[0] // self.size
        return picture.reshape(self.size, side, self.size, side, 3).mean(axis=(1, 3), dtype=np.float32)

    def _background(self, walls: np.ndarray) -> np.ndarray:
        """Floor and walls float32; the same for a whole episode."""
        key = walls.tobytes()
        if self._walls is None or self._walls[0] != key:
            side = SIDE * self._cell
            picture = np.full((side, side, 3), FLOOR, np.float32)
            for row, column in np.argwhere(walls):
                picture[self._area(np.array([column, row]))] = EDGE
                self._blend(picture, np.array([column, row]), "wall", WALL)
            self._walls = key, picture
        return self._walls[1]

    def _blend(self, picture: np.ndarray, cell: np.ndarray, name: str, colour: tuple[int, int, int]) -> None:
        area, share = self._area(cell), self._sprites[name]
        picture[area] += share * (np.array(colour, np.float32) - picture[area])

    def _area(self, cell: np.ndarray) -> tuple[slice, slice]:
        column, row = cell * self._cell
        return slice(row, row + self._cell), slice(column, column + self._cell)


def _sprites(state: MazeState) -> Iterator[tuple[str, np.ndarray]]:
    """What stands where (column, row), from below to above."""
    for name, cells in (("coin", state.coins), ("enemy", state.enemies), ("player", state.player[None])):
        for cell in cells[cells[:, 0] != NOWHERE]:
            yield name, cell


def _coverage(name: str, cell: int) -> np.ndarray:
    """How much of every pixel of a cell a sprite covers, float32 [cell,cell,1]."""
    middle = (np.arange(cell * _FINE) + 0.5) / (cell * _FINE) * 2 - 1
    x, y = np.meshgrid(middle, middle)
    inside = {
        "player": x**2 + y**2 < 0.9**2,
        "coin": np.abs(x) + np.abs(y) < 0.7,
        "enemy": (np.abs(x) < 0.8) & (y < 0.85) & ((y > 0) | (x**2 + y**2 < 0.8**2)),
        "wall": (np.abs(x) < 0.88) & (np.abs(y) < 0.88),
    }[name]
    return inside.reshape(cell, _FINE, cell, _FINE).mean(axis=(1, 3), dtype=np.float32)[..., None]
