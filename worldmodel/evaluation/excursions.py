"""A few dreams to look at: on their own, or retracing what was recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.recorder import make_policy
from worldmodel.errors import WorldModelError
from worldmodel.evaluation.endings import THRESHOLD
from worldmodel.evaluation.evaluation import check_same_world
from worldmodel.evaluation.futures import Futures, draw_futures
from worldmodel.model.world_model import DreamState, Imagination, WorldModel
from worldmodel.progress import progress


@dataclass(frozen=True)
class Excursion:
    """B dreams of h steps: context frames uint8 [B,n,H,W,C], what was imagined, under which stored actions [B,h,...],
    and, where these were recorded ones, what really followed."""

    context: Tensor
    imagined: Imagination
    actions: np.ndarray
    truth: Futures | None = None

    def over(self) -> np.ndarray:
        """bool [B,h]: the dream has called its end at an earlier step, though it was dreamt on."""
        called = self.imagined.termination_probability.numpy() > THRESHOLD
        return np.pad(np.logical_or.accumulate(called, axis=1)[:, :-1], ((0, 0), (1, 0)))


def wander(
    model: WorldModel, policy: Mapping[str, Any], count: int, steps: int, passes: int | None, seed: int
) -> Excursion:
    """From the checkpoint's own real starts, under a policy (a config with `_target_`) that sees the dream's frames."""
    if not len(model.contexts):
        raise WorldModelError("The checkpoint holds no start contexts: give data=, a dataset to start from.")
    rng, codec = np.random.default_rng(seed), model.world.codec
    chosen = rng.choice(len(model.contexts), size=count, replace=count > len(model.contexts))
    starts = model.contexts.select(torch.from_numpy(chosen))
    actors = [make_policy(policy, model.world.action_space, child) for child in rng.spawn(count)]
    for actor in actors:
        actor.reset()
    taken: list[np.ndarray] = []

    def act(frames: Tensor) -> Tensor:
        seen = zip(actors, frames.numpy(), strict=True)
        taken.append(np.stack([codec.store(actor.act(frame)) for actor, frame in seen]))
        return torch.from_numpy(codec.encode(taken[-1]))

    state = model.begin(starts.frames, starts.actions, seed + torch.arange(count))
    imagined = _imagine(model, state, starts.frames[:, -1].cpu(), act, steps, passes)
    return Excursion(starts.frames.cpu(), imagined, np.stack(taken, axis=1))


def retrace(
    model: WorldModel, dataset: EpisodeDataset, count: int, steps: int, passes: int | None, seed: int
) -> Excursion:
    """From held-out moments, under the recorded actions."""
    check_same_world(model, dataset)
    context = model.world.num_context_frames
    truth = draw_futures(dataset, dataset.split("heldout"), context, steps, count, seed)
    recorded = iter(truth.actions.unbind(dim=1))
    state = model.begin(truth.context_frames, truth.context_actions, seed + torch.arange(count))
    last = truth.context_frames[:, -1]
    imagined = _imagine(model, state, last, lambda _: next(recorded), truth.horizon, passes)
    return Excursion(truth.context_frames, imagined, dataset.codec.decode(truth.actions.numpy()), truth)


def _imagine(
    model: WorldModel,
    state: DreamState,
    last: Tensor,
    act: Callable[[Tensor], Tensor],
    steps: int,
    passes: int | None,
) -> Imagination:
    """`steps` steps from `state`; act: frames uint8 [B,H,W,C] -> encoded actions [B,D]."""
    parts: list[dict[str, Tensor]] = []
    for _ in progress(range(steps), desc="imagining", unit="step"):
        step = model.imagine(state, act(last)[:, None], passes)
        parts.append({name: tensor.cpu() for name, tensor in vars(step).items()})
        last = parts[-1]["frames"][:, 0]
    return Imagination(**{name: torch.cat([part[name] for part in parts], dim=1) for name in parts[0]})
