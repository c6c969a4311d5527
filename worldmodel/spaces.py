"""Action and observation spaces as JSON, and actions as vectors: one codec for every space the project accepts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import iterate

from worldmodel.action_check import UNBOUNDED, as_array, check_action, check_leaf
from worldmodel.errors import WorldModelError

_SUPPORTED = "Box, Discrete, MultiDiscrete, MultiBinary, Dict and Tuple"


def space_to_json(space: gym.Space) -> dict[str, Any]:
    """Plain JSON description of a space. Raises WorldModelError for kinds of space this project does not know."""
    match space:
        case spaces.Box():
            bounds = {"low": _bound_to_json(space.low), "high": _bound_to_json(space.high)}
            return {"type": "Box", "shape": list(space.shape), "dtype": str(space.dtype), **bounds}
        case spaces.Discrete():
            return {"type": "Discrete", "n": int(space.n), "start": int(space.start)}
        case spaces.MultiDiscrete():
            return {"type": "MultiDiscrete", "nvec": space.nvec.tolist(), "start": space.start.tolist()}
        case spaces.MultiBinary():
            return {"type": "MultiBinary", "n": space.n if isinstance(space.n, int) else list(space.n)}
        case spaces.Dict():
            return {
                "type": "Dict",
                "spaces": [[key, space_to_json(item)] for key, item in space.spaces.items()],
            }
        case spaces.Tuple():
            return {"type": "Tuple", "spaces": [space_to_json(item) for item in space.spaces]}
    raise WorldModelError(f"Spaces of type {type(space).__name__} are not supported; use {_SUPPORTED}.")


def space_from_json(content: Mapping[str, Any]) -> gym.Space:
    """The space that `space_to_json` described."""
    match content["type"]:
        case "Box":
            shape, dtype = tuple(content["shape"]), np.dtype(content["dtype"])
            low, high = (_bound_from_json(content[name], shape, dtype) for name in ("low", "high"))
            return spaces.Box(low, high, shape, dtype.type)
        case "Discrete":
            return spaces.Discrete(content["n"], start=content["start"])
        case "MultiDiscrete":
            return spaces.MultiDiscrete(np.array(content["nvec"]), start=np.array(content["start"]))
        case "MultiBinary":
            return spaces.MultiBinary(content["n"])
        case (
            "Dict"
        ):  # OrderedDict: gymnasium sorts plain dicts, and the order decides how actions are flattened
            return spaces.Dict(OrderedDict((key, space_from_json(item)) for key, item in content["spaces"]))
        case "Tuple":
            return spaces.Tuple([space_from_json(item) for item in content["spaces"]])
    raise WorldModelError(f"Spaces of type {content['type']} are not supported; use {_SUPPORTED}.")


@dataclass(frozen=True)
class ActionLayout:
    """What each of the D numbers of an encoded action is.

    boxes: bool [D], continuous; bounded: bool [D], continuous and scaled to [-1, 1]; one_hots: the slices that are one
    choice each. All other numbers are bits.
    """

    boxes: np.ndarray
    bounded: np.ndarray
    one_hots: tuple[slice, ...]


class ActionCodec:
    """Turns actions of a space into what is stored (`store`), and into vectors for a network (`encode`), and back.

    Stored: the action as an array of `stored_shape` and `stored_dtype`; Dict and Tuple are stored flat, as
    gymnasium.spaces.flatten gives them. Encoded, float32 [..., size]: Box dimensions with finite bounds scaled to
    [-1, 1], unbounded ones raw; Discrete and MultiDiscrete one-hot; MultiBinary as 0 and 1; Dict and Tuple in order.
    """

    def __init__(self, space: gym.Space) -> None:
        space_to_json(space)  # refuses unsupported spaces, nested ones too
        self.space = space
        composite = isinstance(space, spaces.Dict | spaces.Tuple)
        stored = spaces.flatten_space(space) if composite else space
        self.stored_shape: tuple[int, ...] = tuple(stored.shape or ())
        self.stored_dtype: np.dtype = np.dtype(stored.dtype)
        self.size = int(spaces.flatdim(space))
        self._groups: list[slice] = []  # one-hot runs
        self._low, self._high = np.zeros(self.size), np.ones(self.size)
        self._boxes = np.zeros(self.size, bool)
        self._layout(space, 0)
        self._bounded = self._boxes & (np.maximum(np.abs(self._low), np.abs(self._high)) < UNBOUNDED)
        low, high = (np.where(self._bounded, bound, 0.0) for bound in (self._low, self._high))
        self._offset = (high + low) / 2
        self._scale = np.where(high > low, (high - low) / 2, 1.0)

    @property
    def layout(self) -> ActionLayout:
        """What the numbers of an encoded action mean: what a policy over them needs to know."""
        return ActionLayout(self._boxes.copy(), self._bounded.copy(), tuple(self._groups))

    def encode(self, actions: np.ndarray) -> np.ndarray:
        """Stored actions [..., *stored_shape] -> float32 [..., size]."""
        actions = np.asarray(actions)
        return ((self._flat(actions) - self._offset) / self._scale).astype(np.float32)

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        """float [..., size] -> the nearest stored actions [..., *stored_shape]: rescaled and clipped, or argmax."""
        encoded = np.asarray(encoded, np.float64)
        if encoded.shape[-1:] != (self.size,):
            raise WorldModelError(f"Encoded actions have shape {encoded.shape}, expected [..., {self.size}].")
        flat = np.clip(encoded * self._scale + self._offset, self._low, self._high)
        flat = np.where(self._boxes, flat, np.rint(flat))  # bits; one-hot runs are overwritten next
        for run in self._groups:
            flat[..., run] = np.eye(run.stop - run.start)[encoded[..., run].argmax(-1)]
        return self._unflat(flat)

    def store(self, action: Any) -> np.ndarray:
        """One action as env.step takes it -> array of `stored_shape`. Raises WorldModelError when it does not fit."""
        self.check(action)
        if isinstance(self.space, spaces.Dict | spaces.Tuple):
            return np.asarray(spaces.flatten(self.space, action), self.stored_dtype)
        return np.asarray(action, self.stored_dtype)

    def store_many(self, actions: Any, count: int) -> np.ndarray:
        """`count` actions as a vector env takes them (batched as its action_space) -> [count, *stored_shape].

        Raises WorldModelError when they do not fit.
        """
        _check_batch(self.space, actions, count)
        if isinstance(self.space, spaces.Dict | spaces.Tuple):
            stored = [
                self.store(action)
                for action in iterate(gym.vector.utils.batch_space(self.space, count), actions)
            ]
            return np.stack(stored)
        return np.asarray(actions, self.stored_dtype)

    def restore(self, stored: np.ndarray) -> Any:
        """One stored action -> the action env.step takes."""
        if isinstance(self.space, spaces.Dict | spaces.Tuple):
            return spaces.unflatten(self.space, stored)
        if isinstance(self.space, spaces.Discrete):
            return int(stored)
        return np.array(stored, self.stored_dtype)

    def check(self, action: Any) -> None:
        """Raise WorldModelError, saying what was expected, when `action` is not one of the space."""
        check_action(self.space, action)

    def _layout(self, space: gym.Space, start: int) -> int:
        """Note where each leaf of `space` lies in the flat vector, from `start` on; returns where it ends."""
        if isinstance(space, spaces.Dict | spaces.Tuple):
            for item in _children(space):
                start = self._layout(item, start)
            return start
        stop = start + int(spaces.flatdim(space))
        if isinstance(space, spaces.Box):
            self._boxes[start:stop] = True
            self._low[start:stop], self._high[start:stop] = space.low.ravel(), space.high.ravel()
        for length in _one_hot_lengths(space):
            self._groups.append(slice(start, start + length))
            start += length
        return stop

    def _flat(self, stored: np.ndarray) -> np.ndarray:
        lead = stored.shape[: stored.ndim - len(self.stored_shape)]
        if lead + self.stored_shape != stored.shape:
            raise WorldModelError(
                f"Stored actions have shape {stored.shape}, expected [..., *{self.stored_shape}]."
            )
        if not isinstance(self.space, spaces.Discrete | spaces.MultiDiscrete):
            return stored.reshape(*lead, self.size).astype(np.float64)
        indices = (stored - self.space.start).reshape(*lead, len(self._groups))
        runs = [np.eye(run.stop - run.start)[indices[..., i]] for i, run in enumerate(self._groups)]
        return np.concatenate(runs, axis=-1)

    def _unflat(self, flat: np.ndarray) -> np.ndarray:
        shape = flat.shape[:-1] + self.stored_shape
        if isinstance(self.space, spaces.Discrete | spaces.MultiDiscrete):
            indices = np.stack([flat[..., run].argmax(-1) for run in self._groups], axis=-1)
            return (indices.reshape(shape) + self.space.start).astype(self.stored_dtype)
        if np.issubdtype(self.stored_dtype, np.integer):
            flat = np.rint(flat)
        return flat.reshape(shape).astype(self.stored_dtype)


def _check_batch(space: gym.Space, actions: Any, count: int, name: str = "The actions") -> None:
    """Raise WorldModelError when `actions` are not `count` of `space`, batched."""
    match space:
        case spaces.Dict():
            if not isinstance(actions, Mapping) or set(actions) != set(space.spaces):
                keys = list(space.spaces)
                raise WorldModelError(
                    f"{name} must be one dict of arrays with the keys {keys}, got {_what(actions)}."
                )
            for key, item in space.spaces.items():
                _check_batch(item, actions[key], count, f"{name}[{key!r}]")
        case spaces.Tuple():
            if not isinstance(actions, tuple | list) or len(actions) != len(space.spaces):
                parts = len(space.spaces)
                raise WorldModelError(f"{name} must be a tuple of {parts} arrays, got {_what(actions)}.")
            for index, item in enumerate(space.spaces):
                _check_batch(item, actions[index], count, f"{name}[{index}]")
        case _:
            _check_leaves(space, actions, count, name)


def _check_leaves(space: gym.Space, actions: Any, count: int, name: str) -> None:
    array = as_array(name, actions)
    expected = (count, *(space.shape or ()))
    if array.shape != expected:
        raise WorldModelError(f"{name} have shape {array.shape}, expected {expected}.")
    check_leaf(space, array, lead=1, name=name)


def _what(actions: Any) -> str:
    if isinstance(actions, Mapping):
        return f"the keys {list(actions)}"
    return f"{len(actions)} parts" if isinstance(actions, tuple | list) else type(actions).__name__


def _children(space: spaces.Dict | spaces.Tuple) -> Iterator[gym.Space]:
    yield from space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces


def _one_hot_lengths(space: gym.Space) -> list[int]:
    if isinstance(space, spaces.Discrete):
        return [int(space.n)]
    return [int(n) for n in space.nvec.ravel()] if isinstance(space, spaces.MultiDiscrete) else []


def _bound_to_json(bound: np.ndarray) -> Any:
    values = [_number_to_json(value) for value in bound.ravel().tolist()]
    return values[0] if len(set(values)) == 1 else values


def _bound_from_json(content: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    values = (
        [float(item) if isinstance(item, str) else item for item in content]
        if isinstance(content, list)
        else content
    )
    values = float(values) if isinstance(values, str) else values
    flat = (
        np.array(values, dtype) if isinstance(values, list) else np.full(int(np.prod(shape)), values, dtype)
    )
    return flat.reshape(shape)


def _number_to_json(value: float | int | bool) -> float | int | bool | str:
    return value if np.isfinite(value) else str(value)  # JSON has no infinity
