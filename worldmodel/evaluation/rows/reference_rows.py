"""Rows of every table that need no simulator: rules that know no physics, and dreams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.evaluation.dreaming import dream
from worldmodel.evaluation.moments.action_changes import ChangeActions
from worldmodel.evaluation.moments.rollouts import Contexts, Rollouts
from worldmodel.evaluation.moments.state_spec import StateSpec
from worldmodel.model.world_model import WorldModel

Floats = NDArray[np.float64]
GRID = 16  # pictures are compared at so many pixels a side
MOST_MOMENTS = 4000


@dataclass(frozen=True)
class CopyLast:
    """The context's last frame for ever."""

    name: str = "copy-last-frame"

    def rollouts(self, contexts: Contexts) -> Rollouts:
        """As many frames as there are actions."""
        frames = np.repeat(contexts.frames[:, -1:], contexts.horizon, axis=1)
        return Rollouts(self.name, frames, np.ones(frames.shape[:2], bool))


@dataclass(frozen=True)
class ConstantVelocity:
    """Every place goes on at the speed it had: features alone, without frames. first [N,D]: what the probe reads in the
    contexts' last frames (or the truth); seconds: of one step."""

    spec: StateSpec
    first: Floats
    seconds: float
    name: str = "constant velocity"

    def rollouts(self, contexts: Contexts) -> Rollouts:
        """features [N,h,D]; hinges turn on, quaternions stay."""
        features = np.repeat(self.first[:, None], contexts.horizon, axis=1)
        elapsed = self.seconds * np.arange(1, contexts.horizon + 1)
        for joint in self.spec.joints:
            speed = self.first[:, None, joint.velocity]
            move = speed * elapsed[:, None]
            place = features[..., joint.place]
            if place.shape[-1] == move.shape[-1] == 1:
                place += move
            elif place.shape[-1] == 2:
                angle = np.arctan2(place[..., 0], place[..., 1]) + move[..., 0]
                place[...] = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
            elif place.shape[-1] == 7:
                place[..., :3] += move[..., :3]
        valid = np.ones(features.shape[:2], bool)
        return Rollouts(self.name, None, valid, features=features)


class NearestNeighbour:
    """What followed the most similar moment of the training episodes, whatever the actions. Two frames are compared, so
    that speed counts too."""

    name = "nearest neighbour"

    def __init__(self, dataset: EpisodeDataset, horizon: int, seed: int = 0) -> None:
        """Remembers up to MOST_MOMENTS moments that go on for `horizon` steps (or as long as any episode does)."""
        train = dataset.split("train")
        lengths = dataset.lengths[train]
        self._horizon = int(min(horizon, lengths.max() - 1))
        usable = train[lengths > self._horizon]
        rng = np.random.default_rng(seed)
        chosen = rng.choice(usable, MOST_MOMENTS)
        steps = 1 + rng.integers(dataset.lengths[chosen] - self._horizon)
        moments = np.unique(np.stack([chosen, steps], axis=1), axis=0)
        self._dataset, self._moments = dataset, moments
        self._pictures = np.stack(
            [_small(dataset.episode_frames(n)[step - 1 : step + 1]) for n, step in moments.tolist()]
        )

    def rollouts(self, contexts: Contexts) -> Rollouts:
        """After the end of what is remembered, the last frame stays."""
        last = contexts.frames[:, -2:] if contexts.frames.shape[1] > 1 else contexts.frames.repeat(2, axis=1)
        frames = np.empty((len(contexts), contexts.horizon, *contexts.frames.shape[2:]), np.uint8)
        for n, picture in enumerate(last):
            distance = ((self._pictures - _small(picture)) ** 2).sum(axis=1)
            number, step = self._moments[distance.argmin()].tolist()
            ahead = np.minimum(step + 1 + np.arange(contexts.horizon), step + self._horizon)
            frames[n] = self._dataset.episode_frames(number)[ahead]
        return Rollouts(self.name, frames, np.ones(frames.shape[:2], bool))


@dataclass(frozen=True)
class DreamSource:
    """A world model. change: other actions in place of the contexts' own; contexts of equal id get the same noise."""

    name: str
    model: WorldModel
    seed: int = 0
    change: ChangeActions | None = None
    max_batch: int = 256

    def rollouts(self, contexts: Contexts) -> Rollouts:
        """With the uncertainty that the model tells."""
        codec = self.model.world.codec
        actions = contexts.actions if self.change is None else self.change(contexts)
        past, ahead = (torch.from_numpy(codec.encode(part)) for part in (contexts.context_actions, actions))
        frames, seeds = torch.from_numpy(contexts.frames), self.seed + torch.from_numpy(contexts.ids)
        made = dream(self.model, frames, past, ahead[:, None], seeds, self.name, self.max_batch)
        pictures, doubts = made.frames[:, 0].numpy(), made.uncertainty[:, 0].double().numpy()
        return Rollouts(self.name, pictures, np.ones(pictures.shape[:2], bool), uncertainty=doubts)


def _small(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Two frames as one vector: the last, and what changed since the one before, at GRID pixels a side."""
    height, width = frames.shape[1:3]
    rows, columns = (np.arange(GRID) * side // GRID for side in (height, width))
    parts = np.add.reduceat(np.add.reduceat(frames.astype(np.float32), rows, axis=1), columns, axis=2)
    parts /= (height / GRID) * (width / GRID)
    return np.concatenate([parts[1].ravel(), 4 * (parts[1] - parts[0]).ravel()])
