"""Known faults, put into true frames: what every metric must find, or must not mind."""

# N rollouts of h frames with n objects; masks [N,h,n,H,W] as in Truth

from typing import Any

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
Masks = NDArray[np.floating]
When = NDArray[np.bool_]
BACKGROUND_FRAMES = 500
TRIES = 200  # places tried for a copy


def background(frames: Frames) -> Frames:
    """The picture [H,W,C] without what moves: the median of every pixel, for a camera that stands still."""
    flat = frames.reshape(-1, *frames.shape[2:])
    chosen = np.linspace(0, len(flat) - 1, min(len(flat), BACKGROUND_FRAMES)).astype(int)
    return np.median(flat[chosen], axis=0).astype(np.uint8)


def some(asked: When, fraction: float, rng: np.random.Generator) -> When:
    """`fraction` of the True entries of every column of bool [N,h,n], as nearly as whole numbers allow."""
    chosen = np.zeros(asked.shape, bool)
    for thing in range(asked.shape[2]):
        places = np.argwhere(asked[..., thing])
        picked = places[rng.permutation(len(places))[: round(fraction * len(places))]]
        chosen[picked[:, 0], picked[:, 1], thing] = True
    return chosen


def delete(frames: Frames, masks: Masks, when: When, behind: Frames) -> Frames:
    """Object i is painted over where when[n,t,i]."""
    spoilt = frames.copy()
    for n, t, i in np.argwhere(when):
        spoilt[n, t] = np.where(masks[n, t, i, ..., None] > 0, behind, spoilt[n, t])
    return spoilt


def duplicate(frames: Frames, masks: Masks, when: When, rng: np.random.Generator) -> tuple[Frames, When]:
    """A second object i somewhere free; also where that was possible, a part of `when`."""
    return _pasted(frames, masks, when, rng)


def teleport(
    frames: Frames, masks: Masks, when: When, behind: Frames, rng: np.random.Generator
) -> tuple[Frames, When]:
    """Object i is somewhere else, and not where it was; also where that was possible."""
    spoilt, done = _pasted(frames, masks, when, rng)
    return delete(spoilt, masks, done, behind), done


def swap(frames: Frames, masks: Masks, one: int, other: int, when: NDArray[np.bool_]) -> Frames:
    """Objects `one` and `other` have each other's colour where when[n,t]."""
    spoilt, shown = frames.copy(), (masks[:, :, [one, other]] > 0.99)
    colours = [np.median(frames[shown[:, :, side]], axis=0) for side in (0, 1)]
    for n, t in np.argwhere(when):
        for side, thing in enumerate((one, other)):
            cover = masks[n, t, thing, ..., None].astype(np.float32)
            shift = cover * (colours[1 - side] - colours[side])
            spoilt[n, t] = np.clip(spoilt[n, t] + shift, 0, 255).astype(np.uint8)
    return spoilt


def freeze(frames: NDArray[Any], step: int) -> NDArray[Any]:
    """From `step` (from 1) on everything stays as it is then: [N,h,...]."""
    return np.concatenate(
        [frames[:, :step], np.repeat(frames[:, step - 1 : step], frames.shape[1] - step, 1)], 1
    )


def reverse(frames: NDArray[np.generic]) -> NDArray[np.generic]:
    """The last first: [N,h,...]."""
    return frames[:, ::-1]


def brightness(frames: Frames, factor: float = 1.15) -> Frames:
    """All levels times `factor`."""
    return np.clip(frames * np.float32(factor), 0, 255).astype(np.uint8)


def blur(frames: Frames) -> Frames:
    """The binomial filter 1-2-1 along both axes."""
    soft = frames.astype(np.float32)
    for axis in (-3, -2):
        edges = [(0, 0)] * soft.ndim
        edges[axis] = (1, 1)
        wide = np.pad(soft, edges, mode="edge")
        length = soft.shape[axis]
        before, here, after = (np.take(wide, range(start, start + length), axis=axis) for start in range(3))
        soft = 0.25 * before + 0.5 * here + 0.25 * after
    return np.rint(soft).astype(np.uint8)


def noise(frames: Frames, rng: np.random.Generator, sigma: float = 12.0) -> Frames:
    """Gaussian noise of `sigma` grey levels on every value."""
    spoilt = frames + rng.standard_normal(frames.shape, np.float32) * sigma
    return np.clip(np.rint(spoilt), 0, 255).astype(np.uint8)


def _pasted(frames: Frames, masks: Masks, when: When, rng: np.random.Generator) -> tuple[Frames, When]:
    """Copy object i to a place where no object is and no edge is near."""
    spoilt, done = frames.copy(), np.zeros_like(when)
    height, width = frames.shape[2:4]
    for n, t, i in np.argwhere(when):
        rows, columns = np.nonzero(masks[n, t, i] > 0)
        if not len(rows):
            continue
        taken = masks[n, t].max(axis=0) > 0
        for _ in range(TRIES):
            down = int(rng.integers(1 - rows.min(), height - 1 - rows.max()))
            right = int(rng.integers(1 - columns.min(), width - 1 - columns.max()))
            new = rows + down, columns + right
            if not taken[new].any():
                spoilt[n, t][new] = frames[n, t, rows, columns]
                done[n, t, i] = True
                break
    return spoilt, done
