"""Held-out moments and what really came next: what every measurement of a dream starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import DatasetError


@dataclass(frozen=True)
class Futures:
    """B real moments and the h steps that followed each (time as in Episode).

    context_frames uint8 [B,n,H,W,C], context_actions float32 [B,n-1,D] between them; then actions float32 [B,h,D] as
    encoded, and what they led to: frames uint8 [B,h,H,W,C], rewards float32 [B,h], terminated bool [B,h]. Where the
    episode was over, valid [B,h] is False, frames repeat the last one and actions start over with the first.
    episodes int64 [B]: numbers in the dataset; starts int64 [B]: t of the first context frame.
    """

    context_frames: Tensor
    context_actions: Tensor
    frames: Tensor
    actions: Tensor
    rewards: Tensor
    terminated: Tensor
    valid: Tensor
    episodes: Tensor
    starts: Tensor

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def horizon(self) -> int:
        """h, the number of steps."""
        return self.frames.shape[1]

    def counts(self) -> list[int]:
        """How many of the B futures reach each horizon 1..h."""
        return [int(count) for count in self.valid.sum(0)]


def draw_futures(
    dataset: EpisodeDataset, indices: np.ndarray, num_context_frames: int, horizon: int, count: int, seed: int
) -> Futures:
    """`count` futures of up to `horizon` steps, spread evenly over the episodes `indices`.

    Each starts at a seeded position that leaves the whole horizon where the episode is long enough, and as much as
    there is where it is not. The horizon of the result is the longest that any of them reaches. Raises DatasetError
    when no episode has a frame after the context.
    """
    context_steps = num_context_frames - 1
    usable = np.asarray(indices)[dataset.lengths[indices] > context_steps]
    if not len(usable):
        raise DatasetError(
            f"No held-out episode goes on after {num_context_frames} context frames: collect longer episodes."
        )
    rng = np.random.default_rng(seed)
    order = rng.permutation(usable)
    episodes = order[np.arange(count) % len(order)]
    room = np.maximum(dataset.lengths[episodes] - context_steps - horizon, 0)
    starts = rng.integers(room, endpoint=True)
    steps = np.minimum(dataset.lengths[episodes] - context_steps, horizon)
    parts = [
        _future(dataset, int(episode), int(start), context_steps, int(length), int(steps.max()))
        for episode, start, length in zip(episodes, starts, steps, strict=True)
    ]
    columns = [torch.from_numpy(np.stack(column)) for column in zip(*parts, strict=True)]
    return Futures(*columns, torch.from_numpy(episodes), torch.from_numpy(starts))


def _future(
    dataset: EpisodeDataset, episode: int, start: int, context_steps: int, length: int, horizon: int
) -> tuple[np.ndarray, ...]:
    clip = dataset.clip(episode, start, context_steps + length)
    actions = dataset.codec.encode(clip.actions)
    after, ahead = slice(context_steps, None), np.arange(horizon)
    last, around = np.minimum(ahead, length - 1), ahead % length
    return (
        clip.frames[: context_steps + 1],
        actions[:context_steps],
        clip.frames[context_steps + 1 :][last],
        actions[after][around],
        clip.rewards[after][last].astype(np.float32),
        clip.terminated[after][last],
        ahead < length,
    )
