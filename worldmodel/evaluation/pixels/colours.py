"""Finding objects by their colours in any frame: learned from the simulator's masks on training frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import EnvError
from worldmodel.evaluation.moments.reality import Simulator
from worldmodel.progress import progress

SIDE = 32  # colours are told apart in steps of 8 grey levels
REACH = 40.0  # grey levels: a colour further than this from all colours ever seen belongs to nothing
PRESENT = (0.5, 2.0)  # times the usual area: less has vanished, more is two
MOST_ERROR = 0.1  # of the usual area: a colour that misjudges areas by more on real frames is not trusted
MOMENTS, CHECKS = 240, 80  # frames it is learned from, and frames it is checked on


@dataclass(frozen=True)
class Palette:
    """Which colours the n objects have that these episodes show.

    numbers: their places among the environment's objects; shares float32 [SIDE**3,n]: how much of a pixel of each
    colour belongs to each object; usual_area [n], in pixels, the median over frames in which it is seen; error [n]: how
    far the area found by colour is from the simulator's, as a mean over held-out frames, in usual areas.
    """

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    shares: np.ndarray
    usual_area: np.ndarray
    error: np.ndarray

    @property
    def trusted(self) -> np.ndarray:
        """bool [n]: whether colour finds the object on real frames."""
        return self.error <= MOST_ERROR

    def cover(self, frames: np.ndarray) -> np.ndarray:
        """How much of every pixel of frames uint8 [...,H,W,3] belongs to each object, float32 [...,H,W,n]."""
        return self.shares[_colour_number(frames)]

    def areas(self, frames: np.ndarray) -> np.ndarray:
        """The area of each object in frames uint8 [...,H,W,3], in pixels, float32 [...,n]."""
        return self.cover(frames).sum(axis=(-3, -2))

    def present(self, areas: np.ndarray) -> np.ndarray:
        """bool [...,n]: whether an area [...,n] is that of one whole object, within PRESENT."""
        low, high = PRESENT
        return (areas >= low * self.usual_area) & (areas <= high * self.usual_area)

    def centres(self, frames: np.ndarray) -> np.ndarray:
        """Where each object is (its colour's centre of mass) in frames uint8 [...,H,W,3]: (x, y) in pixels, float
        [...,n,2]; NaN where less than a quarter of it is seen."""
        cover = self.cover(frames).astype(np.float64)
        area = cover.sum(axis=(-3, -2))
        x = np.einsum("...hwn,w->...n", cover, np.arange(frames.shape[-2]))
        y = np.einsum("...hwn,h->...n", cover, np.arange(frames.shape[-3]))
        seen = area > 0.25 * self.usual_area
        place = np.stack([x, y], axis=-1) / np.where(area > 0, area, 1.0)[..., None]
        return np.where(seen[..., None], place, np.nan)


def learn_palette(dataset: EpisodeDataset, seed: int = 0) -> Palette:
    """Learn the objects' colours where the environment tells them apart: it has `objects`, their names, and `masks()`,
    float [n,H,W], how much of every pixel of the current frame each covers. Raises EnvError where it does not."""
    rng = np.random.default_rng(seed)
    with Simulator(dataset) as simulator:
        env = simulator.env
        if not (env.has_wrapper_attr("masks") and env.has_wrapper_attr("objects")):
            raise EnvError(f"{dataset.env.id} does not tell which pixels are which object (it has no masks).")
        if dataset.frame_shape[-1] != 3:
            raise EnvError(
                f"{dataset.env.id} has no colours: its frames have {dataset.frame_shape[-1]} channel(s)."
            )
        names = tuple(env.get_wrapper_attr("objects"))
        covered, seen = np.zeros((SIDE**3, len(names))), np.zeros(SIDE**3)
        areas = []
        for frame, masks in _moments(simulator, dataset, "train", MOMENTS, rng):
            colours = _colour_number(frame).ravel()
            seen += np.bincount(colours, minlength=SIDE**3)
            for i, mask in enumerate(masks):
                covered[:, i] += np.bincount(colours, weights=mask.ravel(), minlength=SIDE**3)
            areas.append(masks.sum(axis=(1, 2)))
        usual = _usual(np.array(areas))
        there = np.flatnonzero(usual)
        palette = Palette(
            tuple(names[i] for i in there),
            tuple(there.tolist()),
            _spread_to_unseen(covered[:, there], seen),
            usual[there],
            np.zeros(len(there)),
        )
        errors = [
            np.abs(palette.areas(frame) - masks[there].sum(axis=(1, 2)))
            for frame, masks in _moments(simulator, dataset, "heldout", CHECKS, rng)
        ]
    return replace(palette, error=np.mean(errors, axis=0) / palette.usual_area)


def _moments(
    simulator: Simulator,
    dataset: EpisodeDataset,
    split: Literal["train", "heldout"],
    count: int,
    rng: np.random.Generator,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Frames of one split with their masks, each from a moment drawn at random."""
    found = []
    episodes = rng.choice(dataset.split(split), size=count)
    for number in progress(np.sort(episodes).tolist(), desc=f"learning colours ({split})", unit="frame"):
        step = int(rng.integers(dataset.lengths[number]))
        simulator.bring_back(number, step)
        found.append((dataset.episode_frames(number)[step], simulator.env.get_wrapper_attr("masks")()))
    return found


def _usual(areas: np.ndarray) -> np.ndarray:
    """The median area [n] of each object over the frames [N,n] that show some of it; 0 if none does."""
    return np.array([np.median(column[column > 0]) if (column > 0).any() else 0.0 for column in areas.T])


def _spread_to_unseen(covered: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Shares of every colour [SIDE**3,n]; a colour never seen takes those of the nearest seen one within REACH."""
    known = np.flatnonzero(seen)
    centres = torch.from_numpy(np.stack(np.unravel_index(np.arange(SIDE**3), (SIDE,) * 3), axis=1)).float()
    centres *= 256 / SIDE
    nearest = [torch.cdist(part, centres[known]).min(dim=1) for part in centres.split(2048)]
    distance, index = (torch.cat([n[i] for n in nearest]).numpy() for i in (0, 1))
    shares = covered[known][index] / seen[known][index][:, None]
    return np.where(distance[:, None] <= REACH, shares, 0.0).astype(np.float32)


def _colour_number(frames: np.ndarray) -> np.ndarray:
    """uint8 [...,3] -> int [...]: which of the SIDE**3 colours."""
    fine = (frames // (256 // SIDE)).astype(np.int32)
    return (fine[..., 0] * SIDE + fine[..., 1]) * SIDE + fine[..., 2]
