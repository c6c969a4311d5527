"""Many futures at once: K sequences of actions, from one moment or from K, in one batched rollout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from worldmodel.envs.dream.snapshot import DreamSnapshot
from worldmodel.errors import WorldModelError
from worldmodel.model.dreams import Dreams, Rollout, noise_seeds


@dataclass(frozen=True, eq=False)
class DreamFutures:
    """K imagined futures of h steps each, in the order of the action sequences.

    frames: uint8 [K,h,H,W,C], after each action; rewards: float64 [K,h]; termination_probability: float32 [K,h];
    terminated, truncated: bool [K,h], as step() would say; uncertainty: float32 [K,h]; features: float32 [K,F], the
    trunk's, of the last step; end: the dreams after the last action, to set or to branch again. Nothing begins anew
    inside a future: it is dreamt on after its end, and `alive` bool [K,h] tells what still counts: the return is
    (rewards * alive).sum(1). over: bool [K], whose dream had ended before the first action.
    """

    frames: np.ndarray
    rewards: np.ndarray
    termination_probability: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    uncertainty: np.ndarray
    features: np.ndarray
    over: np.ndarray
    alive: np.ndarray
    end: DreamSnapshot

    @classmethod
    def of(cls, rollout: Rollout, dreams: Dreams, fits: str) -> DreamFutures:
        """What `dreams`, which have just made `rollout`, bring."""
        known = rollout.apply(torch.Tensor.cpu)
        return cls(
            frames=known.frames.numpy(),
            rewards=known.rewards.double().numpy(),
            termination_probability=known.termination_probability.float().numpy(),
            terminated=known.terminated.numpy(),
            truncated=known.truncated.numpy(),
            uncertainty=known.uncertainty.float().nan_to_num(nan=np.inf, posinf=np.inf).numpy(),
            features=dreams.state.features.float().cpu().numpy().copy(),  # the state of `end` is its own
            over=known.over.numpy(),
            alive=known.alive.numpy(),
            end=DreamSnapshot(dreams.state, dreams.episodes, fits),
        )


def fan_out(dreams: Dreams, count: int, seeds: Sequence[int | None]) -> Dreams:
    """A copy for each of `count` futures, of one dream or of as many; seeds: None for the chance that the dream's state
    holds, or a seed of its own."""
    if len(dreams) not in (1, count):
        raise WorldModelError(
            f"A snapshot of {len(dreams)} dreams was given for {count} action sequences: give a snapshot of one "
            "dream (see DreamSnapshot.select), or one sequence for each dream."
        )
    copies = dreams.branch(count) if len(dreams) == 1 else dreams.select(torch.arange(count))
    rows = [index for index, seed in enumerate(seeds) if seed is not None]
    if rows:
        chosen = [seed for seed in seeds if seed is not None]
        place = torch.tensor(rows, device=dreams.model.device)
        bits = torch.from_numpy(np.array(chosen, np.uint64).view(np.int64)).to(place.device)
        copies.episodes.seed[place], copies.episodes.begun[place] = bits, 1
        copies.state.seed[place] = noise_seeds([(seed, 0) for seed in chosen]).to(place.device)
    return copies
