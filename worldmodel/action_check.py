"""Saying what is wrong with an action."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from worldmodel.errors import WorldModelError, quoted

UNBOUNDED = 1e30  # environments write "no bound" as inf or as the largest float
LARGEST = 1e6  # what is taken where there is no bound: a network's squares of 1e12 overflow to NaN


def check_action(space: gym.Space, action: Any, name: str = "The action") -> None:
    """Raise WorldModelError, saying what was expected and what came, when `action` is not one of `space`."""
    match space:
        case spaces.Dict():
            if not isinstance(action, Mapping) or set(action) != set(space.spaces):
                raise WorldModelError(
                    f"{name} must be a dict with the keys {list(space.spaces)}, got {quoted(action)}."
                )
            for key, item in space.spaces.items():
                check_action(item, action[key], f"{name}[{key!r}]")
        case spaces.Tuple():
            if not isinstance(action, tuple | list) or len(action) != len(space.spaces):
                raise WorldModelError(
                    f"{name} must be a tuple of {len(space.spaces)} parts, got {quoted(action)}."
                )
            for index, item in enumerate(space.spaces):
                check_action(item, action[index], f"{name}[{index}]")
        case _:
            check_leaf(space, action, name=name)


def as_array(name: str, given: Any) -> np.ndarray:
    """`given` as one array, or an error that calls it by `name`."""
    try:
        return np.asarray(given)
    except ValueError as error:  # from NumPy
        raise WorldModelError(f"{name} came as a ragged list: give lists of equal lengths.") from error
    except (TypeError, RuntimeError) as error:  # tensors with a gradient, of bfloat16, or on another device
        raise WorldModelError(
            f"{name} cannot be made into a NumPy array ({quoted(error)}): give one, or lists of equal lengths."
        ) from error


def check_leaf(space: gym.Space, action: Any, lead: int = 0, name: str = "The action") -> None:
    """Shape, kind and bounds of an action, or of a batch of them (`lead` leading dimensions)."""
    array = as_array(name, action)
    if array.shape[lead:] != space.shape:
        raise WorldModelError(f"{name} has shape {array.shape[lead:]}, expected {space.shape}.")
    if array.dtype.kind not in (
        "biuf" if isinstance(space, spaces.Box) and space.dtype.kind == "f" else "biu"
    ):
        raise WorldModelError(f"{name} has dtype {array.dtype}, expected {space.dtype}.")
    low, high = _leaf_bounds(space)
    # Compare in the space's own precision: a float64 0.1 + 0.2 is inside bounds that float32 rounds to.
    value = array.astype(space.dtype) if isinstance(space, spaces.Box) and space.dtype.kind == "f" else array
    inside = (value >= low) & (value <= high)  # False for NaN
    if not np.all(inside):
        bad = np.broadcast_to(array, inside.shape)[~inside].ravel()[0]
        largest = f" (where it has no bound, {LARGEST:.0f} is the largest)" if _open(space).any() else ""
        raise WorldModelError(f"{name} holds {bad}, which is outside of {space}{largest}.")


def _leaf_bounds(space: gym.Space) -> tuple[np.ndarray, np.ndarray]:
    match space:
        case spaces.Box():
            if not (unbounded := _open(space)).any():
                return space.low, space.high
            low, high = (np.asarray(bound, np.float64) for bound in (space.low, space.high))
            limits = np.maximum(low, -LARGEST), np.minimum(high, LARGEST)
            return np.where(unbounded, limits[0], low), np.where(unbounded, limits[1], high)
        case spaces.Discrete():
            return np.asarray(space.start), np.asarray(space.start + space.n - 1)
        case spaces.MultiDiscrete():
            return space.start, space.start + space.nvec - 1
    return np.zeros(space.shape or ()), np.ones(space.shape or ())


def _open(space: gym.Space) -> np.ndarray:
    """Which numbers of a Box have no bound on either side."""
    if not isinstance(space, spaces.Box) or space.dtype.kind != "f":
        return np.zeros((), bool)
    low, high = (np.abs(bound, dtype=np.float64) for bound in (space.low, space.high))
    return np.maximum(low, high) >= UNBOUNDED
