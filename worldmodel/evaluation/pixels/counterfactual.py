"""The same moment under different actions: do the dream's futures part as the real ones do?"""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import EnvError
from worldmodel.evaluation.dreaming import MAX_BATCH, dream_branches
from worldmodel.evaluation.metrics.response import pair_sums
from worldmodel.evaluation.moments.futures import Futures
from worldmodel.evaluation.moments.reality import RealBranches, real_branches
from worldmodel.evaluation.psnr import psnr
from worldmodel.model.world_model import WorldModel
from worldmodel.spaces import ActionCodec

MAX_BRANCHES = 8


@dataclass(frozen=True)
class Response:
    """How far futures of one moment part, over all pairs of branches that have not ended, by horizon 1..h.

    real, dream: mean distance of two branches' frames (root mean square, grey levels). gain = sum|dream difference| /
    sum|real difference|: 1 is right, 0 is deaf to actions. explained = 1 - sum|dream difference - real difference|^2 /
    sum|real difference|^2: 1 is right, 0 is deaf, below 0 worse than deaf (pixels in place of the state of CF-R2).
    psnr: of the branches themselves, dB. pairs: how many are counted. None where no real pair differs.
    """

    real: list[float | None]
    dream: list[float | None]
    gain: list[float | None]
    explained: list[float | None]
    psnr: list[float | None]
    pairs: list[int]


@dataclass(frozen=True)
class Counterfactual:
    """B contexts continued under K constant actions: frames uint8 [B,K,h,H,W,C] dreamt and, where the environment can
    be brought back, real. dream_separation: Response.dream over all pairs. reason: why there is no reality, or ""."""

    names: list[str]
    dream: Tensor
    dream_separation: list[float]
    real: RealBranches | None
    response: Response | None
    reason: str

    @property
    def contexts(self) -> int:
        """B, the number of moments."""
        return len(self.dream)


def measure_counterfactual(
    model: WorldModel, dataset: EpisodeDataset, futures: Futures, seed: int = 0, max_batch: int = MAX_BATCH
) -> Counterfactual:
    """Continue every context under each of `constant_actions`, imagined in one batch and in the real environment."""
    names, constants = constant_actions(model.world.codec, seed)
    shape = (len(futures), len(names), futures.horizon, constants.shape[-1])
    actions = constants[None, :, None].expand(shape)
    dream = dream_branches(model, futures, actions, seed, "imagining other actions", max_batch).frames
    everything = torch.ones(dream.shape[:3], dtype=torch.bool)
    separation = [float(d or 0.0) for d in _response(dream, dream, everything).dream]
    try:
        real = real_branches(dataset, futures, actions)
    except EnvError as error:
        return Counterfactual(names, dream, separation, None, None, str(error))
    return Counterfactual(names, dream, separation, real, _response(dream, real.frames, real.alive), "")


def constant_actions(codec: ActionCodec, seed: int) -> tuple[list[str], Tensor]:
    """K actions worth comparing, with names: encoded float32 [K,D].

    Box: none, and each dimension at both ends (as many as fit); Discrete: each choice; else random ones.
    """
    if isinstance(codec.space, gym.spaces.Box) and codec.size > 0:
        used = range(min(codec.size, (MAX_BRANCHES - 1) // 2))
        ends = [sign * np.eye(codec.size)[i] for i in used for sign in (1, -1)]
        encoded = codec.encode(codec.decode(np.stack([np.zeros(codec.size), *ends])))
    elif isinstance(codec.space, gym.spaces.Discrete):
        encoded = np.eye(codec.size, dtype=np.float32)[:MAX_BRANCHES]
    else:
        drawn = np.random.default_rng(seed).normal(size=(5, codec.size))
        encoded = codec.encode(codec.decode(drawn))
    return [_name(codec, row) for row in encoded], torch.from_numpy(encoded)


def _name(codec: ActionCodec, encoded: np.ndarray) -> str:
    stored = codec.decode(encoded)
    if isinstance(codec.space, gym.spaces.Discrete):
        return f"action {int(stored)}"
    return (
        "("
        + ", ".join(f"{value:.3g}" for value in np.ravel(stored)[:6])
        + (", ...)" if stored.size > 6 else ")")
    )


def _response(dream: Tensor, real: Tensor, alive: Tensor) -> Response:
    sums = pair_sums(dream.flatten(3).numpy(), real.flatten(3).numpy(), alive.numpy())
    count, miss, power, dreamt, true, _ = sums.sum(axis=1)
    pixels = dream[0, 0, 0].numel() ** 0.5
    decibels = (psnr(dream, real) * alive).sum((0, 1)).numpy()
    return Response(
        real=_ratios(true / pixels, count),
        dream=_ratios(dreamt / pixels, count),
        gain=_ratios(dreamt, true),
        explained=_ratios(power - miss, power),
        psnr=_ratios(decibels, alive.sum((0, 1)).numpy()),
        pairs=[int(n) for n in count],
    )


def _ratios(above: np.ndarray, below: np.ndarray) -> list[float | None]:
    return [float(a / b) if b else None for a, b in zip(above, below, strict=True)]
