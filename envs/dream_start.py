"""Where dreams begin: a real start context drawn by each dream's own seed, or the caller's frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from worldmodel.action_check import check_leaf
from worldmodel.errors import WorldModelError
from worldmodel.model.world import StartContexts
from worldmodel.model.world_model import DreamState, WorldModel
from worldmodel.spaces import ActionCodec

OWN_FRAMES = -1  # context index of a dream that continues the caller's frames


class DreamStart:
    """Begins K dreams at once from the reset options of the learned environment."""

    def __init__(self, model: WorldModel) -> None:
        self.model = model

    def begin(
        self, keys: list[np.random.SeedSequence], options: Mapping[str, Any]
    ) -> tuple[DreamState, np.ndarray, np.ndarray]:
        """One dream per key: (state, current frames uint8 [K,H,W,C], context indices [K]).

        options: nothing, {"context": index}, or {"frames": ..., "actions": ...}; anything else is an error.
        """
        unknown = sorted(set(options) - {"context", "frames", "actions"}, key=str)
        if unknown:
            raise WorldModelError(
                f"Unknown reset option {unknown[0]!r}: the options are frames and actions, context, reset_mask."
            )
        if "frames" in options and "context" in options:
            raise WorldModelError(
                "Reset options 'context' and 'frames' exclude each other: give one of them."
            )
        drawn = [key.generate_state(2, np.uint64) for key in keys]
        if "frames" in options:
            contexts, index = self._own(options, len(keys)), np.full(len(keys), OWN_FRAMES)
        else:
            index = self._chosen(options, [int(words[0]) for words in drawn])
            contexts = self.model.contexts.select(torch.from_numpy(index))
        seeds = torch.from_numpy(np.array([words[1] for words in drawn]).astype(np.int64))
        state = self.model.begin(contexts.frames, contexts.actions, seeds)
        return state, contexts.frames[:, -1].numpy(), index

    def _chosen(self, options: Mapping[str, Any], words: list[int]) -> np.ndarray:
        count = len(self.model.contexts)
        if "actions" in options:
            raise WorldModelError(
                "Reset option 'actions' needs 'frames': give the frames that these actions lie between."
            )
        if "context" not in options:
            return np.array([word % count for word in words], np.int64)
        return _context_indices(options["context"], len(words), count)

    def _own(self, options: Mapping[str, Any], count: int) -> StartContexts:
        frames = self._frames(options["frames"])
        if len(frames) not in (1, count):
            raise WorldModelError(
                f"{len(frames)} starts were given for {count} dreams: give one, or one each."
            )
        codec, steps = self.model.world.codec, frames.shape[1] - 1
        stored = _stored_actions(codec, options.get("actions", ()), steps)
        if stored.shape[1:] != (steps, *codec.stored_shape) or len(stored) not in (1, len(frames)):
            raise WorldModelError(
                f"{steps + 1} start frames need the {steps} actions between them, of shape "
                f"{[steps, *codec.stored_shape]}, got {_shape(options.get('actions', ()))}: "
                "give them as reset option 'actions'."
            )
        actions = torch.from_numpy(codec.encode(stored)).expand(count, -1, -1)
        return StartContexts(torch.from_numpy(frames).expand(count, -1, -1, -1, -1), actions)

    def _frames(self, given: Any) -> np.ndarray:
        """The caller's frames, uint8 [K or 1,n,H,W,C], as an array of our own (theirs may be a flipped view)."""
        shape = self.model.world.frame_shape
        frames = _array("frames", given)
        videos = frames[None] if frames.ndim == 4 else frames
        if frames.dtype != np.uint8 or videos.ndim != 5 or videos.shape[2:] != shape or not videos.shape[1]:
            raise WorldModelError(
                f"Reset option 'frames' must be uint8 [n, {', '.join(map(str, shape))}] with n at least 1, "
                f"got {frames.dtype} {list(frames.shape)}."
            )
        return np.array(videos, order="C")


def _context_indices(given: Any, dreams: int, count: int) -> np.ndarray:
    index = _array("context", given)
    if index.dtype.kind not in "iu" or index.shape not in ((), (1,), (dreams,)):
        raise WorldModelError(
            f"Reset option 'context' must be a whole number from 0 to {count - 1}, or one for each dream, "
            f"got {_kind(index)}."
        )
    wrong = index[(index < 0) | (index >= count)]
    if wrong.size:
        raise WorldModelError(
            f"Reset option 'context' is {wrong.ravel()[0]}: this world has contexts 0 to {count - 1}."
        )
    return np.broadcast_to(index, (dreams,)).astype(np.int64)


def _stored_actions(codec: ActionCodec, given: Any, steps: int) -> np.ndarray:
    """The caller's actions, checked, as the codec stores them, with a leading dimension of starts.

    Actions of a Dict or Tuple space come as a list of them (or a list of lists, one for each start), or stored flat.
    """
    composite = isinstance(codec.space, spaces.Dict | spaces.Tuple)
    if composite and not isinstance(given, np.ndarray):
        return _stored_composites(codec, given)
    stored = _array("actions", given)
    if not stored.size and not steps:
        return np.zeros((1, 0, *codec.stored_shape), codec.stored_dtype)
    stored = stored[None] if stored.ndim == len(codec.stored_shape) + 1 else stored
    if stored.ndim == len(codec.stored_shape) + 2 and stored.shape[2:] == codec.stored_shape:
        leaf = spaces.flatten_space(codec.space) if composite else codec.space
        check_leaf(leaf, stored, lead=2, name="Reset option 'actions'")
        return stored.astype(codec.stored_dtype)
    return stored


def _stored_composites(codec: ActionCodec, given: Any) -> np.ndarray:
    if not isinstance(given, list | tuple):
        raise WorldModelError(
            f"Reset option 'actions' is of type {type(given).__name__}: give a list of actions of the space."
        )
    nested = len(given) > 0 and all(_is_list_of_actions(item) for item in given)
    starts = given if nested else [given]
    if len({len(start) for start in starts}) > 1:
        raise WorldModelError("Reset option 'actions' is ragged: give every start as many actions.")
    stored = [codec.store(action) for start in starts for action in start]
    return np.array(stored, codec.stored_dtype).reshape(len(starts), len(starts[0]), *codec.stored_shape)


def _is_list_of_actions(item: Any) -> bool:
    """A list of dicts or tuples, not one action of a Tuple space that was given as a list."""
    return isinstance(item, list) and all(isinstance(part, Mapping | tuple | list) for part in item)


def _array(name: str, given: Any) -> np.ndarray:
    try:
        return np.asarray(given)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged lists; tensors on another device
        raise WorldModelError(
            f"Reset option {name!r} cannot be made into one array: give lists of equal lengths, or a NumPy array."
        ) from error


def _shape(given: Any) -> list[int]:
    try:
        return list(np.shape(given))
    except ValueError:
        return [len(given)]


def _kind(array: np.ndarray) -> str:
    return f"{array.dtype} {list(array.shape)}"
