"""How good the averaged weights are on held-out episodes: the same clips, with the same noise, at every look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from worldmodel.data.windows import ClipSampler
from worldmodel.model.world_model import WorldModel
from worldmodel.noise import BatchNoise, seeded_generator
from worldmodel.training.strips import Moments

CLIPS = 8  # in one forward pass
BATCHES = 8
VALIDATION_STREAM = 1  # of random numbers: not that of the training


@dataclass(frozen=True)
class Validation:
    """model: the world whose weights are judged; clips: held-out ones, CLIPS a batch; moments: for the pictures."""

    model: WorldModel
    clips: ClipSampler
    moments: Moments | None
    seed: int

    @torch.no_grad()
    def metrics(self) -> dict[str, float]:
        """Mean metrics of the loss, in float32 whatever the training computes in."""
        totals: dict[str, float] = {}
        for index in range(BATCHES):
            draw = BatchNoise(seeded_generator(self.seed, index, VALIDATION_STREAM, self.model.device))
            _, metrics = self.model.dynamics.denoiser(self.clips.batch(index).to(self.model.device), draw)
            for name, value in metrics.items():
                totals[name] = totals.get(name, 0.0) + value.item() / BATCHES
        return totals

    def picture(self) -> np.ndarray | None:
        """uint8 [H,W,3], the truth above the dream; None when no held-out episode is long enough."""
        return self.moments.strip(self.model) if self.moments else None
