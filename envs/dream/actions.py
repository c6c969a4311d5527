"""The caller's actions, many at once, checked and as ActionCodec stores them: of start frames, and of branches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from worldmodel.action_check import as_array, check_leaf
from worldmodel.errors import WorldModelError
from worldmodel.spaces import ActionCodec

START = "Reset option 'actions'"
BRANCH = "action_sequences"


def start_actions(codec: ActionCodec, given: Any) -> np.ndarray:
    """The actions between start frames, [starts, n, *stored_shape]; how many there are is left to be checked.

    Those of a Dict or Tuple space come as a list of actions (or a list of lists, one for each start), or stored flat.
    """
    if _is_composite(codec) and not isinstance(given, np.ndarray):
        stored = _stored_lists(codec, given, START)
        return stored if stored.ndim == len(codec.stored_shape) + 2 else stored[None]
    stored = as_array(START, given)
    if not stored.size:  # of whatever type: how many are missing is the better thing to say
        return np.zeros((1, 0, *codec.stored_shape), codec.stored_dtype)
    stored = stored[None] if stored.ndim == len(codec.stored_shape) + 1 else stored
    if stored.ndim == len(codec.stored_shape) + 2 and stored.shape[2:] == codec.stored_shape:
        return _checked(codec, stored, START)
    return stored


def branch_actions(codec: ActionCodec, given: Any) -> np.ndarray:
    """K sequences of h actions each, [K, h, *stored_shape], neither of them 0.

    given: actions of the space with two dimensions in front; those of a Dict or Tuple space as a Dict or Tuple of such
    arrays, as a list of K lists of h actions, or stored flat.
    """
    if _is_composite(codec) and not isinstance(given, np.ndarray):
        batched = isinstance(given, Mapping if isinstance(codec.space, spaces.Dict) else tuple)
        stored = _stored_batch(codec, given) if batched else _stored_lists(codec, given, BRANCH)
    else:
        stored = as_array(BRANCH, given)
    if stored.ndim != len(codec.stored_shape) + 2 or stored.shape[2:] != codec.stored_shape:
        raise WorldModelError(
            f"{BRANCH} have shape {list(stored.shape)}: give K sequences of h actions each, of shape "
            f"[K, h{''.join(f', {size}' for size in codec.stored_shape)}]."
        )
    if not stored.shape[0] or not stored.shape[1]:
        raise WorldModelError(
            f"{BRANCH} are {stored.shape[0]} of {stored.shape[1]} actions: give at least one action."
        )
    return _checked(codec, stored, BRANCH)


def _is_composite(codec: ActionCodec) -> bool:
    return isinstance(codec.space, spaces.Dict | spaces.Tuple)


def _checked(codec: ActionCodec, stored: np.ndarray, name: str) -> np.ndarray:
    leaf = spaces.flatten_space(codec.space) if _is_composite(codec) else codec.space
    check_leaf(leaf, stored, lead=2, name=name)
    return stored.astype(codec.stored_dtype)


def _stored_batch(codec: ActionCodec, given: Any) -> np.ndarray:
    """A Dict or Tuple whose leaves all have the same two dimensions in front."""
    leads: set[tuple[int, ...]] = set()
    flat = _without_leads(codec.space, given, leads)
    if len(leads) != 1 or len(lead := leads.pop()) != 2 or not all(lead):
        raise WorldModelError(
            f"{BRANCH} must be actions of the space with the same two dimensions [K, h] in front of every part."
        )
    return codec.store_many(flat, lead[0] * lead[1]).reshape(*lead, *codec.stored_shape)


def _without_leads(space: Any, given: Any, leads: set[tuple[int, ...]]) -> Any:
    """`given` with the two dimensions in front of each leaf made one; notes what they were in `leads`.

    What does not look like the space is left as it is, for the codec to say so.
    """
    if isinstance(space, spaces.Dict) and isinstance(given, Mapping):
        known = space.spaces
        return {
            key: _without_leads(known[key], item, leads) if key in known else item
            for key, item in given.items()
        }
    if isinstance(space, spaces.Tuple) and isinstance(given, tuple | list):
        if len(given) != len(space.spaces):
            return given
        return tuple(_without_leads(*pair, leads) for pair in zip(space.spaces, given, strict=True))
    array = as_array(BRANCH, given)
    lead = array.shape[: max(0, array.ndim - len(space.shape or ()))]
    leads.add(lead)
    return array.reshape(-1, *array.shape[len(lead) :]) if lead else array


def _stored_lists(codec: ActionCodec, given: Any, name: str) -> np.ndarray:
    """[n, *stored_shape] of a list of n actions, [K, n, *stored_shape] of a list of K such lists."""
    if not isinstance(given, list | tuple):
        raise WorldModelError(
            f"{name} is of type {type(given).__name__}: give a list of actions of the space."
        )
    nested = len(given) > 0 and all(_is_list_of_actions(item) for item in given)
    rows = given if nested else [given]
    if len({len(row) for row in rows}) > 1:
        raise WorldModelError(f"{name} is ragged: give lists of equal lengths.")
    stored = [codec.store(action) for row in rows for action in row]
    lead = (len(rows), len(rows[0])) if nested else (len(given),)
    return np.array(stored, codec.stored_dtype).reshape(*lead, *codec.stored_shape)


def _is_list_of_actions(item: Any) -> bool:
    """A list of dicts or tuples, not one action of a Tuple space that was given as a list."""
    return isinstance(item, list) and all(isinstance(part, Mapping | tuple | list) for part in item)
