"""Picture strips: moments of held-out episodes, the truth above what the model dreams from their first frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.frames import as_colours
from worldmodel.model.world_model import WorldModel

HORIZON = 16  # frames dreamt, where episodes are that long
STRIPS = 2
_GAP, _GREY = 2, 128


@dataclass(frozen=True)
class Moments:
    """The same B real clips at every look: frames uint8 [B,n,H,W,C], encoded actions float32 [B,n-1,D]; the first
    `context` frames are given to the dream."""

    frames: torch.Tensor
    actions: torch.Tensor
    context: int

    @classmethod
    def draw(cls, dataset: EpisodeDataset, indices: np.ndarray, context: int, seed: int) -> Moments | None:
        """At most STRIPS clips of these episodes, of which at most HORIZON frames are dreamt; None when all are too
        short to dream a single one."""
        rng = np.random.default_rng(seed)
        longest = int(dataset.lengths[indices].max(initial=0))
        steps = min(context - 1 + HORIZON, longest)
        if steps < context:
            return None
        long_enough = indices[dataset.lengths[indices] >= steps]
        chosen = rng.permutation(long_enough)[:STRIPS]
        starts = rng.integers(dataset.lengths[chosen] - steps + 1)
        clips = [dataset.clip(int(i), int(start), steps) for i, start in zip(chosen, starts, strict=True)]
        frames = np.stack([clip.frames for clip in clips])
        actions = np.stack([dataset.codec.encode(clip.actions) for clip in clips])
        return cls(torch.from_numpy(frames), torch.from_numpy(actions), context)

    def strip(self, model: WorldModel) -> np.ndarray:
        """uint8 [H',W',3]: for every clip a row of its frames, and under it the same context dreamt on."""
        known = self.frames[:, : self.context]
        state = model.begin(known, self.actions[:, : self.context - 1], torch.arange(len(known)))
        dream = model.imagine(state, self.actions[:, self.context - 1 :]).frames.cpu()
        rows = [self.frames, torch.cat([known, dream], dim=1)]
        pairs = [[_row(row[b].numpy(), self.context) for row in rows] for b in range(len(known))]
        return np.concatenate([line for pair in pairs for line in pair])


def _row(frames: np.ndarray, context: int) -> np.ndarray:
    """uint8 [n,H,W,C] side by side, with a line where the dream begins, and one below."""
    images = list(as_colours(frames))
    height = images[0].shape[0]
    images.insert(context, np.full((height, _GAP, 3), _GREY, np.uint8))
    row = np.concatenate(images, axis=1)
    return np.concatenate([row, np.full((_GAP, row.shape[1], 3), _GREY, np.uint8)])
