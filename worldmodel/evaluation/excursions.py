"""A few dreams to look at: on their own, or retracing what was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import WorldModelError
from worldmodel.evaluation.dreaming import MAX_BATCH, act_in, dream
from worldmodel.evaluation.evaluation import check_same_world
from worldmodel.evaluation.moments.futures import Futures, draw_futures
from worldmodel.model.dreams import Dreams
from worldmodel.model.state import Imagination
from worldmodel.model.world_model import WorldModel


@dataclass(frozen=True)
class Excursion:
    """B dreams of h steps: context frames uint8 [B,n,H,W,C], what was imagined, under which stored actions [B,h,...],
    and, where these were recorded ones, what really followed."""

    context: Tensor
    imagined: Imagination
    actions: np.ndarray
    truth: Futures | None = None

    def over(self) -> np.ndarray:
        """bool [B,h]: the dream has ended at an earlier step, though it was dreamt on."""
        ended = np.logical_or.accumulate(self.imagined.terminated.numpy(), axis=1)
        return np.pad(ended[:, :-1], ((0, 0), (1, 0)))


def wander(
    model: WorldModel, policy: Mapping[str, Any], count: int, steps: int, passes: int | None, seed: int
) -> Excursion:
    """From the checkpoint's own real starts, under a policy (a config with `_target_`) that sees the dream's frames."""
    if not len(model.contexts):
        raise WorldModelError("The checkpoint holds no start contexts: give data=, a dataset to start from.")
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(model.contexts), size=count, replace=count > len(model.contexts))
    starts = model.contexts.select(torch.from_numpy(chosen))
    dreams = Dreams.begin(model, starts.frames, starts.actions, seed + torch.arange(count), passes)
    last = starts.frames[:, -1].cpu().numpy()
    actions, frames, made = zip(*act_in(dreams, last, policy, steps, seed, "imagining"), strict=True)

    def stacked(name: str) -> Tensor:
        return torch.stack([getattr(step, name).cpu() for step in made], dim=1)

    imagined = Imagination(
        torch.from_numpy(np.stack(frames, axis=1)),
        *map(stacked, ("reward", "termination_probability", "uncertainty", "terminated")),
    )
    return Excursion(starts.frames.cpu(), imagined, np.stack(actions, axis=1))


def retrace(
    model: WorldModel, dataset: EpisodeDataset, count: int, steps: int, passes: int | None, seed: int
) -> Excursion:
    """From held-out moments, under the recorded actions."""
    check_same_world(model, dataset)
    context = model.world.num_context_frames
    truth = draw_futures(dataset, dataset.split("heldout"), context, steps, count, seed)
    seeds, past = seed + torch.arange(count), (truth.context_frames, truth.context_actions)
    made = dream(model, *past, truth.actions[:, None], seeds, "imagining", MAX_BATCH, passes)
    imagined = made.apply(lambda tensor: tensor[:, 0])
    return Excursion(truth.context_frames, imagined, dataset.codec.decode(truth.actions.numpy()), truth)
