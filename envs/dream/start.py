"""Where dreams begin: a real start context drawn by each dream's own seed, the caller's frames, or a live env."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worldmodel.action_check import as_array
from worldmodel.envs.dream.actions import start_actions
from worldmodel.envs.recent_frames import FrameRecord, recent_past
from worldmodel.errors import WorldModelError, quoted
from worldmodel.model.dreams import OWN_FRAMES, Dreams, Ending, Episodes, noise_seeds
from worldmodel.model.world import StartContexts
from worldmodel.model.world_model import DreamState, WorldModel

_OPTIONS = ("frames", "context", "env")


class DreamStart:
    """Begins K dreams at once from the reset options of the learned environment."""

    def __init__(
        self, model: WorldModel, num_inference_steps: int, ending: Ending, single_frames: bool = True
    ) -> None:
        """single_frames: whether a start may be one frame, to which no step led: without features, and with nothing
        that would tell how well the dream knows it."""
        if not len(model.contexts):
            raise WorldModelError(
                "The checkpoint holds no start contexts: train it again with num_contexts above 0."
            )
        self.model, self._single_frames = model, single_frames
        self._passes, self._ending = num_inference_steps, ending
        self._check_length(model.contexts.frames.shape[1], "The checkpoint's start contexts are")

    def begin(self, streams: Sequence[tuple[int, int]], options: Mapping[str, Any]) -> Dreams:
        """One dream for each (seed, number of the episode).

        options: nothing, {"context": index}, {"frames": ..., "actions": ...}, or {"env": one live environment, or a
        list of K}; anything else is an error.
        """
        unknown = sorted(set(options) - {*_OPTIONS, "actions"}, key=str)
        if unknown:
            raise WorldModelError(
                f"Unknown reset option {quoted(unknown[0])}: the options are frames and actions, context, env, "
                "reset_mask."
            )
        given = [name for name in _OPTIONS if name in options]
        if len(given) > 1:
            raise WorldModelError(
                f"Reset options {given[0]!r} and {given[1]!r} exclude each other: give one of them."
            )
        if "actions" in options and "frames" not in options:
            raise WorldModelError(
                "Reset option 'actions' needs 'frames': give the frames that these actions lie between."
            )
        if "frames" in options:
            starts = self._own(options, len(streams))
            return self._dreams(
                self.model.begin(starts.frames, starts.actions, noise_seeds(streams)), streams
            )
        if "env" in options:
            return self._dreams(self._live(options["env"], noise_seeds(streams)), streams)
        index = None
        if "context" in options:
            index = _context_indices(options["context"], len(streams), len(self.model.contexts))
        return Dreams.fresh(self.model, streams, self._passes, self._ending, index)

    def _dreams(self, state: DreamState, streams: Sequence[tuple[int, int]]) -> Dreams:
        episodes = Episodes.start(streams, OWN_FRAMES, self.model.device)
        return Dreams(self.model, state, self._passes, self._ending, episodes)

    def _own(self, options: Mapping[str, Any], count: int) -> StartContexts:
        frames = self._frames(options["frames"])
        if len(frames) not in (1, count):
            raise WorldModelError(
                f"{len(frames)} starts were given for {count} dreams: give one, or one each."
            )
        self._check_length(frames.shape[1], "Reset option 'frames' holds")
        codec, steps = self.model.world.codec, frames.shape[1] - 1
        stored = start_actions(codec, options.get("actions", ()))
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
        frames = as_array("Reset option 'frames'", given)
        videos = frames[None] if frames.ndim == 4 else frames
        if frames.dtype != np.uint8 or videos.ndim != 5 or videos.shape[2:] != shape or not videos.shape[1]:
            raise WorldModelError(
                f"Reset option 'frames' must be uint8 [n, {', '.join(map(str, shape))}] with n at least 1, "
                f"got {frames.dtype} {list(frames.shape)}."
            )
        return np.array(videos, order="C")

    def _live(self, given: Any, seeds: Tensor) -> DreamState:
        """Dreams that go on from live environments. Their pasts may be of different lengths, and none is cut to fit
        another: a dream must not depend on its neighbours."""
        envs = list(given) if isinstance(given, list | tuple) else [given] * len(seeds)
        if len(envs) != len(seeds):
            raise WorldModelError(
                f"{len(envs)} live environments were given for {len(seeds)} dreams: give one, or one each."
            )
        pasts = [self._past(env) for env in envs]
        groups: dict[int, list[int]] = {}
        for index, past in enumerate(pasts):
            groups.setdefault(past.frames.shape[1], []).append(index)
        states = []
        for members in groups.values():
            contexts = StartContexts(
                torch.cat([pasts[i].frames for i in members]), torch.cat([pasts[i].actions for i in members])
            )
            states.append(self.model.begin(contexts.frames, contexts.actions, seeds[members]))
        order = np.argsort(np.concatenate(list(groups.values())))
        return DreamState.concatenate(states).select(torch.from_numpy(order).to(self.model.device))

    def _past(self, env: Any) -> StartContexts:
        """The recent past of a live environment, as far as the model looks back."""
        world, config = self.model.world, self.model.network.config
        record, space = recent_past(env)
        frames = record.frames[-(config.window + max(2, config.history)) :]
        if frames[-1].shape != world.frame_shape or frames[-1].dtype != np.uint8:
            raise WorldModelError(
                f"The live environment shows frames {frames[-1].dtype} {list(frames[-1].shape)}, this world's are "
                f"uint8 {list(world.frame_shape)}: make the environment with frames of that size."
            )
        if space != world.action_space:
            raise WorldModelError(
                f"The live environment has the action space {space}, this world {world.action_space}: "
                "give an environment like the one it was learned from."
            )
        self._check_length(len(frames), "Since its last reset, the live environment has shown")
        return StartContexts(torch.from_numpy(np.stack(frames))[None], self._encoded(record, len(frames) - 1))

    def _encoded(self, record: FrameRecord, count: int) -> Tensor:
        """The last `count` actions, float32 [1,count,D]."""
        codec = self.model.world.codec
        taken = record.actions[len(record.actions) - count :]
        try:
            stored = np.array([codec.store(action) for action in taken], codec.stored_dtype)
        except WorldModelError as error:
            raise WorldModelError(
                f"The live environment took an action that is not of its space: {error}"
            ) from error
        return torch.from_numpy(codec.encode(stored.reshape(count, *codec.stored_shape)))[None]

    def _check_length(self, frames: int, what: str) -> None:
        if frames < 2 and not self._single_frames:
            raise WorldModelError(
                f"{what} one frame, from which neither features nor an expected error can be told: start from at "
                "least two and the action between them, or make the dream with obs_type='frames' and without "
                "truncate_on_uncertainty."
            )


def _context_indices(given: Any, dreams: int, count: int) -> np.ndarray:
    index = as_array("Reset option 'context'", given)
    if index.dtype.kind not in "iu" or index.shape not in ((), (1,), (dreams,)):
        raise WorldModelError(
            f"Reset option 'context' must be a whole number from 0 to {count - 1}, or one for each of the {dreams} "
            f"dreams that begin, got {_kind(index)}."
        )
    wrong = index[(index < 0) | (index >= count)]
    if wrong.size:
        raise WorldModelError(
            f"Reset option 'context' is {wrong.ravel()[0]}: this world has contexts 0 to {count - 1}."
        )
    return np.broadcast_to(index, (dreams,)).astype(np.int64)


def _shape(given: Any) -> list[int]:
    try:
        return list(np.shape(given))
    except ValueError:
        return [len(given)]


def _kind(array: np.ndarray) -> str:
    return f"{array.dtype} {list(array.shape)}"
