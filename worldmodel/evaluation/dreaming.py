"""Dreaming many futures at once, with a progress bar."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from worldmodel.evaluation.futures import Futures
from worldmodel.model.world_model import Imagination, WorldModel
from worldmodel.progress import progress

MAX_BATCH = 256  # dreams in one forward pass: bounds memory, and changes nothing else


def dream_branches(
    model: WorldModel, futures: Futures, actions: Tensor, seed: int, desc: str, max_batch: int = MAX_BATCH
) -> Imagination:
    """Dream on from each of the B contexts under K action sequences, encoded float32 [B,K,h,D]; results [B,K,h,...].

    All K branches of a context share its noise, so they differ by their actions alone. Results lie on the CPU.
    """
    batch, branches, horizon = actions.shape[:3]
    seeds = seed + torch.arange(batch)
    chunks = list(torch.arange(batch).split(max(1, max_batch // branches)))
    parts = []
    with progress(total=len(chunks) * horizon, desc=desc, unit="step") as bar:
        for chunk in chunks:
            state = model.begin(futures.context_frames[chunk], futures.context_actions[chunk], seeds[chunk])
            state = state.select(torch.arange(len(chunk), device=model.device).repeat_interleave(branches))
            steps = []
            for action in actions[chunk].flatten(0, 1).unbind(dim=1):
                steps.append(_to_cpu(model.imagine(state, action[:, None])))
                bar.update()
            parts.append(_concatenated(steps, dim=1))
    whole = _concatenated(parts, dim=0)
    return _each(whole, lambda tensor: tensor.unflatten(0, (batch, branches)))


def _to_cpu(imagined: Imagination) -> Imagination:
    return _each(imagined, lambda tensor: tensor.cpu())


def _concatenated(parts: list[Imagination], dim: int) -> Imagination:
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return Imagination(*(torch.cat(column, dim) for column in columns))


def _each(imagined: Imagination, change: Callable[[Tensor], Tensor]) -> Imagination:
    return Imagination(*(change(tensor) for tensor in vars(imagined).values()))
