"""A picture, or two that follow each other, as the goal of a plan: how much must still be moved, and how far."""

# B dreams, E goals, n goal frames, C H W frame

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from worldmodel.errors import WorldModelError
from worldmodel.frames import frames_to_float
from worldmodel.model.dreams import Dreams, DreamStep

MOST_FRAMES = 2  # that a dream's state holds: x_t and x_{t-1}
_HALF_RANGE = 127.5  # grey levels of 1.0


def profiles(pictures: Tensor) -> list[Tensor]:
    """The sums of pictures [...,H,W] along rows, columns and both diagonals, each [..., bins], per pixel of a picture.

    Linear: differences of profiles are profiles of differences.
    """
    height, width = pictures.shape[-2:]
    rows = torch.arange(height, device=pictures.device)[:, None]
    columns = torch.arange(width, device=pictures.device)
    flat = pictures.flatten(-2)
    sums = [pictures.sum(-1), pictures.sum(-2)]
    for places in (rows + columns, rows - columns + width - 1):
        empty = flat.new_zeros(*flat.shape[:-1], height + width - 1)
        sums.append(empty.index_add_(-1, places.flatten(), flat))
    return [part / (height * width) for part in sums]


def transport(first: list[Tensor], second: list[Tensor]) -> Tensor:
    """How far apart two pictures [...,C,H,W] are, [...], given their profiles: grey levels times pixels of way, each a
    mean over all pixels and the colours.

    The sliced Wasserstein-1 distance (Rabin et al., 2011) of every colour, along four directions: unlike a squared
    error it falls with every step that a thing comes nearer, however far off it still is, and what stands still drops
    out by itself. What is too much or too little as a whole costs the same wherever it is.
    """
    parts = []
    for number, (mine, other) in enumerate(zip(first, second, strict=True)):
        flow = (mine - other).cumsum(-1)
        flow = flow - flow[..., -1:] / 2
        way = 1.0 if number < 2 else 0.5**0.5  # pixels between neighbouring bins
        parts.append(flow.abs().sum(-1).mean(-1) * way)
    return torch.stack(parts).mean(0) * _HALF_RANGE


class Goal:
    """An Objective (see Planner): minus how far the last frames of a dream are from the goal's.

    frames: uint8 [E,n,H,W,C], n 1 or 2, which are then met one after the other, and so is their motion. first, last:
    the last of them may be met at any of these steps, whichever is nearest.
    """

    def __init__(self, frames: Tensor, first: int, last: int) -> None:
        if not 1 <= frames.shape[1] <= MOST_FRAMES:
            raise WorldModelError(f"A goal is 1 or {MOST_FRAMES} frames, got {frames.shape[1]}.")
        if not 1 <= first <= last:
            raise WorldModelError(
                f"steps is {first} to {last}, expected at least 1 and no range that runs backwards."
            )
        self.first, self.last = first, last
        self.frames, self._goals = frames.shape[1], len(frames)
        # Newest first, as in a DreamState.
        self._profiles = profiles(frames_to_float(frames).flip(1))

    def __call__(self, dreams: Dreams, steps: Iterator[DreamStep]) -> Tensor:
        """See Objective."""
        return -self.distances(dreams, steps).amin(dim=1)

    def distances(self, dreams: Dreams, steps: Iterator[DreamStep]) -> Tensor:
        """[B, last - first + 1]: after each of the steps at which a dream may arrive; no step is taken beyond."""
        found = []
        for number, _ in enumerate(steps, start=1):
            if number >= self.first:
                found.append(self.distance(dreams.state.recent))
            if number == self.last:
                break
        return torch.stack(found, dim=1)

    def distance(self, recent: Tensor) -> Tensor:
        """[B] of frames float [B,K,C,H,W], newest first; those of a goal follow each other, as many for each."""
        shown = profiles(recent[:, : self.frames])
        share = len(recent) // self._goals
        goals = [part.repeat_interleave(share, dim=0) for part in self._profiles]
        return transport(shown, goals).mean(dim=1)
