"""How long does a dream look like what really happened, and does it listen to the actions?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worldmodel.evaluation.dreaming import MAX_BATCH, dream_branches
from worldmodel.evaluation.moments.futures import Futures
from worldmodel.evaluation.pixels.endings import TOLERANCE, Endings, measure_endings
from worldmodel.evaluation.pixels.signals import Rewards, Trust, measure_rewards, measure_trust
from worldmodel.evaluation.psnr import squared_error, to_decibel
from worldmodel.evaluation.statistics import Bootstrap, Interval, mean
from worldmodel.model.world_model import WorldModel
from worldmodel.spaces import ActionCodec

DREAM, SHUFFLED, STILL, COPY = "dream", "shuffled_actions", "zero_actions", "copy_last_frame"
NOISY = "simulator_with_action_noise"


@dataclass(frozen=True)
class Fidelity:
    """Imagined frames against true ones, by horizon 1..h.

    counts [h]: futures that reach each horizon; unmoved [h]: those that then look just as the last frame given.
    psnr: row -> dB [h] (convention: psnr.CONVENTION); psnr_pooled: the same from the error averaged over frames first.
    Rows: the dream; copy_last_frame (nothing moves); the dream given the actions of another context; the dream given
    no action (the middle of a Box, the first of several choices); where played, the simulator with noisy actions.
    gain_over: row -> how many dB the dream is above it, with a 95 % interval over episodes, at each horizon.
    """

    contexts: int
    episodes: int
    counts: list[int]
    unmoved: list[int]
    psnr: dict[str, list[float]]
    psnr_pooled: dict[str, list[float]]
    gain_over: dict[str, list[Interval]]
    rewards: Rewards
    endings: Endings
    trust: Trust

    @property
    def horizon(self) -> int:
        """h, the number of imagined frames."""
        return len(self.counts)


def measure_fidelity(
    model: WorldModel,
    futures: Futures,
    before_ends: Futures | None = None,
    noisy: Tensor | None = None,
    seed: int = 0,
    max_batch: int = MAX_BATCH,
) -> Fidelity:
    """Dream every future (at least two) under its own, another's and no actions, from the same noise.

    before_ends: more futures, for judging imagined ends alone; noisy: the futures' frames again, as the simulator gives
    them under noisy actions."""
    names = [DREAM, SHUFFLED, STILL]
    actions = torch.stack([futures.actions, shuffled(futures), still(futures, model.world.codec)], dim=1)
    imagined = dream_branches(model, futures, actions, seed, "imagining held-out episodes", max_batch)
    errors = {name: squared_error(imagined.frames[:, k], futures.frames) for k, name in enumerate(names)}
    copies = futures.context_frames[:, -1:].expand_as(futures.frames)
    errors[COPY] = squared_error(copies, futures.frames)
    if noisy is not None:
        errors[NOISY] = squared_error(noisy, futures.frames)
    decibels = {name: to_decibel(error) for name, error in errors.items()}
    return Fidelity(
        contexts=len(futures),
        episodes=len(futures.episodes.unique()),
        counts=futures.counts(),
        unmoved=((errors[COPY] == 0) & futures.valid).sum(0).tolist(),
        psnr={name: _means(values, futures.valid) for name, values in decibels.items()},
        psnr_pooled={
            name: to_decibel(_mean(error, futures.valid)).tolist() for name, error in errors.items()
        },
        gain_over={
            name: _gain(decibels[DREAM] - values, futures, seed)
            for name, values in decibels.items()
            if name != DREAM
        },
        rewards=measure_rewards(imagined.rewards[:, 0], futures, seed),
        endings=measure_endings(
            (imagined.termination_probability[:, 0], futures),
            None if before_ends is None else (_chances(model, before_ends, seed, max_batch), before_ends),
            seed,
        ),
        trust=measure_trust(imagined.uncertainty[:, 0], errors[DREAM].sqrt(), futures, seed),
    )


def _chances(model: WorldModel, futures: Futures, seed: int, max_batch: int) -> Tensor:
    """Probabilities of the end [B,h+TOLERANCE]: dreamt on past the end, so that a call that comes late is seen too."""
    after = futures.actions[:, -1:].expand(-1, TOLERANCE, -1)
    actions = torch.cat([futures.actions, after], dim=1)[:, None]
    dreamt = dream_branches(model, futures, actions, seed, "imagining ends", max_batch)
    return dreamt.termination_probability[:, 0]


def shuffled(futures: Futures) -> Tensor:
    """Each context's actions replaced by the next context's, which is of another episode where there are several."""
    if len(futures) < 2:
        raise ValueError("shuffling actions takes at least two contexts")
    return futures.actions.roll(1, dims=0)


def still(futures: Futures, codec: ActionCodec) -> Tensor:
    """No action at every step: the middle of a Box, the first of several choices."""
    encoded = codec.encode(codec.decode(np.zeros(codec.size)))
    return torch.from_numpy(encoded).expand_as(futures.actions)


def _gain(difference: Tensor, futures: Futures, seed: int) -> list[Interval]:
    return Bootstrap(futures.episodes.numpy(), seed=seed).of(mean(difference.numpy(), futures.valid.numpy()))


def _means(values: Tensor, valid: Tensor) -> list[float]:
    return _mean(values, valid).tolist()


def _mean(values: Tensor, valid: Tensor) -> Tensor:
    return (values * valid).sum(0) / valid.sum(0)
