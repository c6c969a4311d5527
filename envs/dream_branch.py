"""Many futures at once: K sequences of actions, from one moment or from K, in one batched rollout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from worldmodel.envs import dream_arguments as arguments
from worldmodel.envs.dream_episodes import TruncatedBy, reasons, told
from worldmodel.envs.dream_snapshot import DreamSnapshot
from worldmodel.envs.dream_start import noise_seeds
from worldmodel.errors import WorldModelError
from worldmodel.model.world_model import WorldModel


@dataclass(frozen=True, eq=False)
class DreamFutures:
    """K imagined futures of h steps each, in the order of the action sequences.

    frames: uint8 [K,h,H,W,C], after each action; rewards: float64 [K,h]; termination_probability: float32 [K,h];
    terminated, truncated: bool [K,h], as step() would say; uncertainty: float32 [K,h]; features: float32 [K,F], the
    trunk's, of the last step; end: the dreams after the last action, to set or to branch again. Nothing begins anew
    inside a future: it is dreamt on after its end, and `alive` tells what still counts. over: bool [K], whose dream had
    ended before the first action.
    """

    frames: np.ndarray
    rewards: np.ndarray
    termination_probability: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    uncertainty: np.ndarray
    features: np.ndarray
    over: np.ndarray
    end: DreamSnapshot

    @property
    def alive(self) -> np.ndarray:
        """bool [K,h]: the steps up to the first end, that one included, and none of a dream that was over; the return
        is (rewards * alive).sum(1)."""
        ended = (self.terminated | self.truncated).astype(np.int64)
        return (np.cumsum(ended, axis=1) - ended == 0) & ~self.over[:, None]


@dataclass(frozen=True)
class Horizon:
    """When a dream is truncated: after so many steps, and above so large an expected error; None: never."""

    time_limit: int | None
    uncertainty: float | None


def branch(
    model: WorldModel,
    states: DreamSnapshot,
    stored: np.ndarray,
    seeds: Sequence[int | None],
    num_inference_steps: int,
    horizon: Horizon,
) -> DreamFutures:
    """The futures of `states`, of 1 dream or of K, under K sequences of h actions as the codec stores them.

    seeds: for each future, None for the noise its state would meet anyway, or a seed of its own.
    """
    start = _fanned_out(states, len(stored), seeds, model.device)
    actions = torch.from_numpy(model.world.codec.encode(stored)).to(model.device)
    imagined = model.imagine(start.state, actions, num_inference_steps)
    uncertainty = told(imagined.uncertainty.float().cpu().numpy())
    probability = imagined.termination_probability.float().cpu().numpy()
    terminated = probability > 0.5
    step = start.episodes.step[:, None] + np.arange(1, stored.shape[1] + 1)
    reason = reasons(step, uncertainty, horizon.time_limit, horizon.uncertainty)
    truncated = reason != TruncatedBy.NOTHING
    episodes = replace(
        start.episodes,
        step=step[:, -1],
        ended=start.episodes.ended | (terminated | truncated).any(axis=1),
        reason=reason[:, -1],
        uncertainty=uncertainty[:, -1].copy(),
    )
    return DreamFutures(
        frames=imagined.frames.cpu().numpy(),
        rewards=imagined.rewards.cpu().double().numpy(),
        termination_probability=probability,
        terminated=terminated,
        truncated=truncated,
        uncertainty=uncertainty,
        features=start.state.features.float().cpu().numpy().copy(),  # a copy: the state of `end` is its own
        over=start.episodes.ended,
        end=DreamSnapshot(start.state, episodes, start.fits),
    )


def _fanned_out(
    states: DreamSnapshot, count: int, seeds: Sequence[int | None], device: torch.device
) -> DreamSnapshot:
    """A copy of one dream for each future."""
    if len(states) not in (1, count):
        raise WorldModelError(
            f"A snapshot of {len(states)} dreams was given for {count} action sequences: give a snapshot of one "
            "dream (see DreamSnapshot.select), or one sequence for each dream."
        )
    start = states.select(np.zeros(count, np.int64) if len(states) == 1 else np.arange(count))
    given = [index for index, seed in enumerate(seeds) if seed is not None]
    if not given:
        return start
    chosen = [seeds[index] for index in given]
    start.episodes.seed[given] = np.array(chosen, np.uint64)
    start.episodes.begun[given] = 1
    place = torch.tensor(given, device=device)
    start.state.seed[place] = _noise(chosen).to(device)
    return start


def _noise(seeds: Sequence[int | None]) -> Tensor:
    """The noise that a dream begun with each seed would meet."""
    return noise_seeds([arguments.seed_sequence(seed, 0) for seed in seeds if seed is not None])
