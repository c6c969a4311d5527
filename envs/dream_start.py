"""Where dreams begin: a real start context drawn by each dream's own seed, or the caller's frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from worldmodel.errors import WorldModelError
from worldmodel.model.world import StartContexts
from worldmodel.model.world_model import DreamState, WorldModel

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
        unknown = sorted(set(options) - {"context", "frames", "actions"})
        if unknown:
            raise WorldModelError(
                f"Unknown reset option {unknown[0]!r}: the options are frames and actions, context, reset_mask."
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
        try:
            index = np.broadcast_to(np.asarray(options["context"], np.int64), (len(words),)).copy()
        except (TypeError, ValueError) as error:
            raise WorldModelError(
                f"Reset option 'context' must be an index, or one for each dream: {error}."
            ) from error
        if ((index < 0) | (index >= count)).any():
            raise WorldModelError(
                f"Reset option 'context' is {options['context']}: this world has contexts 0 to {count - 1}."
            )
        return index

    def _own(self, options: Mapping[str, Any], count: int) -> StartContexts:
        world = self.model.world
        frames = np.asarray(options["frames"])
        frames = frames[None] if frames.ndim == 4 else frames
        expected = f"uint8 [n, {', '.join(map(str, world.frame_shape))}] with n at least 1"
        if (
            frames.dtype != np.uint8
            or frames.ndim != 5
            or frames.shape[2:] != world.frame_shape
            or not frames.shape[1]
        ):
            raise WorldModelError(
                f"Reset option 'frames' must be {expected}, got {frames.dtype} {list(np.shape(options['frames']))}."
            )
        steps = frames.shape[1] - 1
        codec = world.codec
        stored = np.asarray(options.get("actions", np.zeros((0, *codec.stored_shape))))
        stored = stored[None] if stored.ndim == len(codec.stored_shape) + 1 else stored
        if stored.shape[1:] != (steps, *codec.stored_shape) or len(stored) not in (1, len(frames)):
            given = list(np.shape(options.get("actions", ())))
            raise WorldModelError(
                f"{steps + 1} start frames need the {steps} actions between them, of shape "
                f"{[steps, *codec.stored_shape]}, got {given}: give them as reset option 'actions'."
            )
        if len(frames) not in (1, count):
            raise WorldModelError(
                f"{len(frames)} starts were given for {count} dreams: give one, or one each."
            )
        actions = torch.from_numpy(codec.encode(stored)).expand(count, -1, -1)
        return StartContexts(torch.from_numpy(frames).expand(count, -1, -1, -1, -1), actions)
