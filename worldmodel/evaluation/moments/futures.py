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

    def select(self, index: Tensor) -> Futures:
        """The futures at `index` (int64 [K], repeats allowed)."""
        return Futures(*(tensor[index] for tensor in vars(self).values()))

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
    return gather_futures(dataset, episodes, starts, num_context_frames, horizon)


def futures_before_ends(
    dataset: EpisodeDataset, indices: np.ndarray, num_context_frames: int, most_steps: int
) -> Futures | None:
    """Every future of 1 to `most_steps` steps whose last step terminated one of these episodes; None if there is none.

    Ends are rare among futures drawn at random, and late in them."""
    context_steps = num_context_frames - 1
    ended = [i for i in indices if dataset.terminated[dataset.first_step[i] + dataset.lengths[i] - 1]]
    moments = [
        (i, dataset.lengths[i] - context_steps - steps) for i in ended for steps in range(1, most_steps + 1)
    ]
    moments = [(i, start) for i, start in moments if start >= 0]
    if not moments:
        return None
    episodes, starts = np.array(moments, np.int64).T
    return gather_futures(dataset, episodes, starts, num_context_frames, most_steps)


def gather_futures(
    dataset: EpisodeDataset, episodes: np.ndarray, starts: np.ndarray, num_context_frames: int, horizon: int
) -> Futures:
    """The futures whose context begins at frame starts[b] of episode episodes[b], up to `horizon` steps long."""
    context_steps = num_context_frames - 1
    steps = np.minimum(dataset.lengths[episodes] - context_steps - starts, horizon)
    parts = [
        _future(dataset, int(episode), int(start), context_steps, int(length), int(steps.max()))
        for episode, start, length in zip(episodes, starts, steps, strict=True)
    ]
    columns = {name: torch.from_numpy(np.stack([part[name] for part in parts])) for name in parts[0]}
    return Futures(**columns, episodes=torch.from_numpy(episodes), starts=torch.from_numpy(starts))


def _future(
    dataset: EpisodeDataset, episode: int, start: int, context_steps: int, length: int, horizon: int
) -> dict[str, np.ndarray]:
    clip = dataset.clip(episode, start, context_steps + length)
    actions = dataset.codec.encode(clip.actions)
    after, ahead = slice(context_steps, None), np.arange(horizon)
    last, around = np.minimum(ahead, length - 1), ahead % length
    return {
        "context_frames": clip.frames[: context_steps + 1],
        "context_actions": actions[:context_steps],
        "frames": clip.frames[context_steps + 1 :][last],
        "actions": actions[after][around],
        "rewards": clip.rewards[after][last].astype(np.float32),
        "terminated": clip.terminated[after][last],
        "valid": ahead < length,
    }
