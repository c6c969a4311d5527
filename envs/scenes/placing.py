"""Where round things start: as the options say, else drawn so that nothing overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worldmodel.errors import EnvError

GAP = 0.02  # between drawn things [m]
Corner = tuple[float, float]


@dataclass(frozen=True)
class Spot:
    """One thing to be placed: its radius [m], its option's name and value (None: draw), the room it must stay inside
    and the part of it where it is drawn (lower and upper corner each; the radius is taken off the room alone), and
    (place, gap) pairs that its centre keeps off when drawn."""

    name: str
    radius: float
    given: Sequence[float] | None
    room: tuple[Corner, Corner]
    drawn_in: tuple[Corner, Corner]
    keep_off: tuple[tuple[np.ndarray, float], ...] = ()


def place(spots: Sequence[Spot], rng: np.random.Generator) -> np.ndarray:
    """Centres [n,2]. Raises EnvError when given ones overlap or leave the room, or when no room is left to draw one."""
    placed = {i: _checked(spot) for i, spot in enumerate(spots) if spot.given is not None}
    _check_apart([spots[i] for i in placed], list(placed.values()))
    for i, spot in enumerate(spots):
        if i not in placed:
            others = [(centre, spots[k].radius + spot.radius + GAP) for k, centre in placed.items()]
            placed[i] = _draw(spot, [*others, *spot.keep_off], rng)
    return np.array([placed[i] for i in range(len(spots))])


def _reach(spot: Spot) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.array(spot.room)
    return low + spot.radius, high - spot.radius


def _checked(spot: Spot) -> np.ndarray:
    centre, (low, high) = np.array(spot.given, np.float64), _reach(spot)
    if (centre < low).any() or (centre > high).any():
        raise EnvError(
            f"option {spot.name!r} must be from ({low[0]:g}, {low[1]:g}) to ({high[0]:g}, {high[1]:g}) m, "
            f"where no wall is, got {spot.given}."
        )
    return centre


def _check_apart(spots: Sequence[Spot], centres: Sequence[np.ndarray]) -> None:
    for i, spot in enumerate(spots):
        for other, centre in zip(spots[:i], centres, strict=False):
            touching = spot.radius + other.radius
            if np.linalg.norm(centres[i] - centre) < touching:
                raise EnvError(
                    f"options {other.name!r} and {spot.name!r} must be at least {touching:g} m apart: "
                    "they would overlap."
                )


def _draw(spot: Spot, keep_off: list[tuple[np.ndarray, float]], rng: np.random.Generator) -> np.ndarray:
    low, high = _reach(spot)
    low, high = np.maximum(low, spot.drawn_in[0]), np.minimum(high, spot.drawn_in[1])
    for _ in range(1000):
        centre = rng.uniform(low, high)
        if all(np.linalg.norm(centre - other) > gap for other, gap in keep_off):
            return centre
    raise EnvError(f"these options leave no room for {spot.name!r}: make things smaller or fewer.")
