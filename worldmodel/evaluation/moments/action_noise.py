"""How far the simulator itself strays when its actions are a little wrong: what no dream need be better than."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import EnvError
from worldmodel.evaluation.moments.futures import Futures
from worldmodel.evaluation.moments.reality import Simulator, moments, real_branches
from worldmodel.progress import progress
from worldmodel.spaces import ActionCodec


@dataclass(frozen=True)
class NoisySimulator:
    """The real futures again under noisy actions: frames uint8 [B,h,H,W,C]; after an end that the noise brought about,
    the last one stays. None, with the reason, where the simulator does not repeat the recorded frames to the bit
    without noise, which is checked first."""

    frames: Tensor | None
    share: float
    restored_by: str = ""
    reason: str = ""


def play_with_noise(dataset: EpisodeDataset, futures: Futures, share: float, seed: int) -> NoisySimulator:
    """Continue every context in the real environment under its own actions with noise (see noisy_actions)."""
    try:
        wrong = _not_repeated(dataset, futures)
        if wrong:
            those = f"{wrong} of {len(futures)} recorded futures"
            reason = f"{dataset.env.id} does not repeat {those} under their own actions."
            return NoisySimulator(None, share, reason=reason)
        actions = noisy_actions(futures.actions, dataset.codec, share, seed)
        played = real_branches(dataset, futures, actions[:, None], desc="simulating noisy actions")
    except EnvError as error:
        return NoisySimulator(None, share, reason=str(error))
    return NoisySimulator(played.frames[:, 0], share, played.restored_by)


def noisy_actions(actions: Tensor, codec: ActionCodec, share: float, seed: int) -> Tensor:
    """Encoded actions [...,D] with noise: Gaussian of `share` of half the range (of the standard deviation, where a
    dimension has no bounds), clipped; every choice and every bit is another one with probability `share`."""
    rng, layout = np.random.default_rng(seed), codec.layout
    noisy = actions.numpy().astype(np.float64)
    scale = np.where(layout.bounded, 1.0, noisy.reshape(-1, codec.size).std(axis=0)) * layout.boxes
    noisy += share * scale * rng.normal(size=noisy.shape)
    bits = ~layout.boxes
    for run in layout.one_hots:
        bits[run] = False
        _choose_anew(noisy[..., run], share, rng)
    flipped = bits & (rng.random(noisy.shape) < share)
    noisy = np.where(flipped, 1 - noisy, noisy)
    return torch.from_numpy(codec.encode(codec.decode(noisy)))


def _choose_anew(one_hot: np.ndarray, share: float, rng: np.random.Generator) -> None:
    """In place: [...,n] becomes another of the n choices with probability `share`."""
    choices = one_hot.shape[-1]
    if choices > 1:
        chosen = one_hot.argmax(axis=-1)
        other = (chosen + rng.integers(1, choices, size=chosen.shape)) % choices
        one_hot[:] = np.eye(choices)[np.where(rng.random(chosen.shape) < share, other, chosen)]


def _not_repeated(dataset: EpisodeDataset, futures: Futures) -> int:
    """How many futures do not come out as recorded when the simulator plays the very actions that were stored."""
    wrong = 0
    with Simulator(dataset) as simulator:
        cases = list(
            zip(moments(futures), futures.frames.numpy(), futures.valid.sum(1).tolist(), strict=True)
        )
        for (number, step), recorded, steps in progress(cases, desc="repeating reality", unit="rollout"):
            simulator.bring_back(number, step)
            first = dataset.first_step[number] + step
            frames, _ = simulator.play(dataset.actions[first : first + steps])
            wrong += not np.array_equal(frames, recorded[:steps])
    return wrong
