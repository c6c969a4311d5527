"""Dreams of many moments at once, by the engine, with a progress bar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worldmodel.data.recorder import make_policy
from worldmodel.evaluation.moments.futures import Futures
from worldmodel.frames import float_to_frames
from worldmodel.model.dreams import Dreams, DreamStep, Rollout
from worldmodel.model.world_model import WorldModel
from worldmodel.progress import progress

MAX_BATCH = 256  # dreams in one forward pass: bounds memory, and changes nothing else


def dream_branches(
    model: WorldModel, futures: Futures, actions: Tensor, seed: int, desc: str, max_batch: int = MAX_BATCH
) -> Rollout:
    """Dream on from each of the B contexts under K action sequences, encoded float32 [B,K,h,D]; results [B,K,h,...].

    All K branches of a context share its noise, so they differ by their actions alone. Results lie on the CPU.
    """
    context = futures.context_frames, futures.context_actions
    return dream(model, *context, actions, seed + torch.arange(len(futures)), desc, max_batch)


def dream(
    model: WorldModel,
    frames: Tensor,
    past: Tensor,
    actions: Tensor,
    seeds: Tensor,
    desc: str,
    max_batch: int = MAX_BATCH,
    passes: int | None = None,
) -> Rollout:
    """The same from context frames uint8 [B,n,H,W,C], encoded actions [B,n-1,D] between them, and seeds int64 [B]."""
    batch, branches, horizon = actions.shape[:3]
    chunks = list(torch.arange(batch).split(max(1, max_batch // branches)))
    parts = []
    with progress(total=len(chunks) * horizon, desc=desc, unit="step") as bar:
        for chunk in chunks:
            begun = Dreams.begin(model, frames[chunk], past[chunk], seeds[chunk], passes)
            rollout = begun.branch(branches).rollout(actions[chunk].flatten(0, 1), bar.update)
            parts.append(rollout.apply(lambda tensor: tensor.cpu()))
    return Rollout.concatenate(parts).apply(lambda tensor: tensor.unflatten(0, (batch, branches)))


def act_in(
    dreams: Dreams, last: np.ndarray, policy: Mapping[str, Any], steps: int, seed: int, desc: str
) -> Iterator[tuple[np.ndarray, np.ndarray, DreamStep]]:
    """`steps` steps under a policy (a config with `_target_`), made anew for every dream, that sees its frames.

    last: uint8 [B,H,W,C], the current frames. Yields stored actions [B,...], the frames uint8 [B,H,W,C] that they led
    to, and the step; dreams go on past their ends."""
    codec, space = dreams.model.world.codec, dreams.model.world.action_space
    actors = [make_policy(policy, space, rng) for rng in np.random.default_rng(seed).spawn(len(last))]
    for actor in actors:
        actor.reset()
    for _ in progress(range(steps), desc=desc, unit="step"):
        pairs = zip(actors, last, strict=True)
        actions = np.stack([codec.store(actor.act(frame)) for actor, frame in pairs])
        step = dreams.step(torch.from_numpy(codec.encode(actions)))
        last = float_to_frames(step.frame).cpu().numpy()
        yield actions, last, step
