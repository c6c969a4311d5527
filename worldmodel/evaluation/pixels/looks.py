"""What a picture looks like in two numbers that know no place: its colours and its sharpness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEVELS, BINS = 256, 32
COLOUR = (
    "total variation distance of the histograms of each colour channel (32 bins, linear between their centres), "
    "averaged over channels, in per cent: the share of values that would have to change"
)
SHARPNESS = (
    "gradient energy: squared differences of neighbouring pixels, across plus down, averaged over the picture"
)


@dataclass(frozen=True)
class Looks:
    """Of N groups of frames: levels [N,C,256], the share of every grey level; gradient [N], the mean gradient energy in
    grey levels squared (see SHARPNESS); frames [N], how many."""

    levels: np.ndarray
    gradient: np.ndarray
    frames: np.ndarray

    @classmethod
    def of(cls, frames: np.ndarray) -> Looks:
        """Of every single frame uint8 [N,H,W,C]."""
        count, *_, channels = frames.shape
        flat = frames.reshape(count, -1, channels).transpose(0, 2, 1).reshape(count * channels, -1)
        places = flat + LEVELS * np.arange(count * channels)[:, None]
        levels = np.bincount(places.ravel(), minlength=LEVELS * count * channels).astype(np.float32)
        levels = levels.reshape(count, channels, LEVELS) / np.float32(flat.shape[1])
        return cls(levels, gradient_energy(frames), np.ones(count))

    @classmethod
    def joined(cls, parts: list[Looks]) -> Looks:
        """The groups of all parts, one after the other."""
        return cls(
            *(np.concatenate(column) for column in zip(*(vars(p).values() for p in parts), strict=True))
        )

    def mean(self, weights: np.ndarray | None = None) -> Looks:
        """All groups as one, each frame counting once; `weights` [N] count groups more than once or not at all."""
        share = self.frames * (np.ones(len(self.frames)) if weights is None else weights)
        share = share / share.sum()
        levels, gradient = np.tensordot(share, self.levels, 1), share @ self.gradient
        return Looks(levels[None], np.array([gradient]), np.array([self.frames.sum()]))


def gradient_energy(frames: np.ndarray) -> np.ndarray:
    """[N] of frames uint8 [N,H,W,C]; see SHARPNESS."""
    values = frames.astype(np.float32)
    across, down = np.diff(values, axis=2), np.diff(values, axis=1)
    return ((across**2).mean(axis=(1, 2, 3)) + (down**2).mean(axis=(1, 2, 3))).astype(np.float64)


def colour_distance(first: Looks, second: Looks) -> float:
    """Of two single groups, in per cent; see COLOUR."""
    gap = np.abs(_binned(first.levels[0]) - _binned(second.levels[0]))
    return float(50 * gap.sum(axis=-1).mean())


def colour_shift(first: Looks, second: Looks) -> float:
    """Of two single groups: how many grey levels the values of a channel have to be moved on average (earth mover's
    distance), averaged over channels."""
    gap = np.cumsum(first.levels[0] - second.levels[0], axis=-1)
    return float(np.abs(gap).sum(axis=-1).mean())


def _binned(levels: np.ndarray) -> np.ndarray:
    """[...,256] -> [...,BINS]: a level between two bin centres counts for both, by its distance from them. With sharp
    bins a change of one grey level could move a whole background from one bin to the next, or do nothing."""
    place = np.arange(LEVELS) / (LEVELS - 1) * (BINS - 1)
    share = np.clip(1 - np.abs(place[:, None] - np.arange(BINS)), 0, None)
    return levels @ share
