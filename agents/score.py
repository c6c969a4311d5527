"""What an agent is worth in the real environment, and how far its dreams flatter it."""

# K dreams, D size of an encoded action, n context frames

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worldmodel.agents.actor_critic import ActorCritic
from worldmodel.agents.distributions import clamp_action
from worldmodel.agents.play import LONGEST, Played
from worldmodel.evaluation.statistics import Bootstrap, Interval, mean, resampled
from worldmodel.model.world_model import DreamState, WorldModel

_SAMPLING = 3_000_003  # added to the seed: sampled actions and sampled ends are different chance


@dataclass(frozen=True)
class Score:
    """Returns (sums of rewards, not discounted) and lengths of single episodes; mean return and interquartile mean
    (iqm) with their 95 % intervals (bootstrap over episodes); terminated_share: how many ended by themselves rather
    than by the time limit, which is success or failure as the environment defines it."""

    returns: tuple[float, ...]
    lengths: tuple[int, ...]
    mean: float
    interval: tuple[float, float]
    iqm: float
    iqm_interval: tuple[float, float]
    mean_length: float
    terminated_share: float

    @classmethod
    def of(cls, played: list[Played], seed: int = 0) -> Score:
        """The score of these episodes; the bootstrap is drawn from `seed`."""
        returns = np.array([episode.rewards.sum() for episode in played])
        lengths = [len(episode.rewards) for episode in played]
        interval, middle = mean_interval(returns, seed), iqm_interval(returns, seed)
        return cls(
            returns=tuple(map(float, returns)),
            lengths=tuple(lengths),
            mean=interval.mean,
            interval=(interval.low, interval.high),
            iqm=middle.mean,
            iqm_interval=(middle.low, middle.high),
            mean_length=float(np.mean(lengths)),
            terminated_share=float(np.mean([episode.terminated for episode in played])),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain dict."""
        return asdict(self)


@dataclass(frozen=True)
class Gap:
    """The same agent from the same starts in both worlds, to their ends: mean returns, and dream minus real with its
    95 % interval (bootstrap over the pairs). Large and positive: the agent lives on the model's errors."""

    dream: float
    real: float
    difference: float
    interval: tuple[float, float]
    pairs: int

    def to_json(self) -> dict[str, Any]:
        """Plain dict."""
        return asdict(self)


def mean_interval(values: np.ndarray, seed: int) -> Interval:
    """Mean of independent values [N] with its 95 % bootstrap interval."""
    return Bootstrap(np.arange(len(values)), seed=seed).one(mean(values))


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """Mean of the middle half along the last axis: a quarter of the values, rounded down, is left out at either end
    (as scipy.stats.trim_mean with 0.25; Agarwal et al., 2021)."""
    ordered = np.sort(np.asarray(values, np.float64), axis=-1)
    cut = ordered.shape[-1] // 4
    return ordered[..., cut : ordered.shape[-1] - cut].mean(axis=-1)


def iqm_interval(values: np.ndarray, seed: int) -> Interval:
    """Interquartile mean of independent values [N] with its 95 % bootstrap interval."""
    return resampled(lambda sample, axis: interquartile_mean(sample), values, seed=seed)


# Encoded actions [K,D] for K dreams at their current step.
Chooser = Callable[[DreamState], Tensor]


def dream_gap(
    policy: ActorCritic,
    model: WorldModel,
    played: list[Played],
    num_inference_steps: int,
    seed: int = 0,
    sample: bool = False,
) -> Gap | None:
    """The gap of `policy`, which played these real episodes with its likeliest actions or, as in dreams then, with
    sampled ones; see `gap_of`."""
    chance = torch.Generator(model.device).manual_seed(seed + _SAMPLING)

    def choose(state: DreamState) -> Tensor:
        actions = policy(policy.sees(state)).actions
        return actions.sample(chance) if sample else actions.mode()

    return gap_of(choose, model, played, num_inference_steps, seed)


def gap_of(
    choose: Chooser, model: WorldModel, played: list[Played], num_inference_steps: int, seed: int = 0
) -> Gap | None:
    """Dream on from the first num_context_frames frames of real episodes that the same agent played, and compare with
    what they went on to earn. None when no episode is longer than a context."""
    context = model.world.num_context_frames
    pairs = [p for p in played if len(p.rewards) >= context and len(p.frames) >= context]
    if not pairs:
        return None
    steps = min(model.world.max_episode_steps or LONGEST, LONGEST) - (context - 1)
    real = np.array([p.rewards[context - 1 : context - 1 + steps].sum() for p in pairs])
    dreamt = _dream(choose, model, pairs, steps, num_inference_steps, seed)
    difference = mean_interval(dreamt - real, seed)
    bounds = (difference.low, difference.high)
    return Gap(float(dreamt.mean()), float(real.mean()), difference.mean, bounds, len(pairs))


@torch.no_grad()
def _dream(
    choose: Chooser, model: WorldModel, starts: list[Played], steps: int, passes: int, seed: int
) -> np.ndarray:
    """Imagined returns [K] of at most `steps` steps from these real starts."""
    context, codec, device = model.world.num_context_frames, model.world.codec, model.device
    frames = torch.from_numpy(np.stack([p.frames[:context] for p in starts])).to(device)
    actions = torch.from_numpy(codec.encode(np.stack([p.actions[: context - 1] for p in starts]))).to(device)
    state = model.begin(frames, actions, torch.arange(len(starts)) + seed * 1_000_003)
    random = torch.Generator(device).manual_seed(seed)
    alive = torch.ones(len(starts), device=device)
    total = torch.zeros(len(starts), device=device)
    for _ in range(steps):
        step = model.step(state, clamp_action(choose(state), codec.layout), passes)
        total += alive * step.reward
        alive *= torch.rand(len(starts), generator=random, device=device) >= step.termination_probability
        if not alive.any():
            break
    return total.double().cpu().numpy()
