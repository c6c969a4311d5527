"""A thousand steps in one dream: do its frames still look like real ones, and is everything still there?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import EnvError
from worldmodel.evaluation.dreaming import act_in
from worldmodel.evaluation.moments.futures import Futures
from worldmodel.evaluation.moments.reality import Simulator, moments
from worldmodel.evaluation.pixels.colours import Palette
from worldmodel.evaluation.pixels.endings import THRESHOLD
from worldmodel.evaluation.pixels.looks import Looks, colour_distance, colour_shift
from worldmodel.evaluation.pixels.objects import ObjectCount, count_objects
from worldmodel.evaluation.statistics import LEVEL, Bootstrap, Interval, share
from worldmodel.model.dreams import Dreams
from worldmodel.model.world_model import WorldModel
from worldmodel.progress import progress

WINDOWS = ((0.1, 0.2), (0.4, 0.5), (0.9, 1.0))  # which steps are compared, as shares of all
SHOWN = (0, 1, 10, 50, 100, 200, 500, 900, 1000)  # the steps that the pictures show
FILMED = 3  # dreams that are kept whole, for films: the first ones
SPLITS = 20  # random halves of the real episodes that are compared with each other
REAL_FRAMES = 4000  # at most so many real frames are looked at
_CHUNK = 64  # frames looked at together: bounds memory


@dataclass(frozen=True)
class Difference:
    """How frames differ from real ones: colour in per cent (looks.COLOUR), colour_shift in grey levels, and gradient
    energy (looks.SHARPNESS) relative to real frames' in per cent, with a 95 % interval over dreams."""

    colour: float
    colour_shift: float
    gradient: Interval


@dataclass(frozen=True)
class Window:
    """Steps first to last of the dreams against real frames, and, where it can be brought back, the simulator's own
    frames there under the same actions (up to the ends of its episodes; None when all are over)."""

    first: int
    last: int
    dream: Difference
    dream_before_end: Difference | None
    simulator: Difference | None


@dataclass(frozen=True)
class LongDreams:
    """`dreams` dreams of `steps` steps, never stopped, whatever they say of their end.

    floor: the same differences between random halves of the real episodes (means of absolute values); called_end: the
    share that calls an end, first_end: the median step of the first call; gradient [steps]: mean gradient energy over
    dreams, relative to real frames'. objects: None with the reason in objects_reason. simulator_reason: why there is no
    simulator beside it. Frames for pictures: shown uint8 [B,len(shown_steps),H,W,C], films [FILMED,steps,H,W,C].
    """

    dreams: int
    steps: int
    real_frames: int
    windows: list[Window]
    floor: Difference
    gradient: list[float]
    called_end: float
    first_end: float | None
    objects: list[ObjectCount] | None
    objects_reason: str
    simulator_reason: str
    shown_steps: list[int]
    shown: np.ndarray
    films: np.ndarray


@dataclass(frozen=True)
class _Rollouts:
    """Of B rollouts of h steps: looks of every frame (groups [B*h]), areas [B,h,n] or None, alive [B,h]."""

    looks: Looks
    areas: np.ndarray | None
    alive: np.ndarray

    def window(self, first: int, last: int, alive: np.ndarray | None = None) -> list[Looks]:
        """One group for each rollout that is alive at some of the steps first < t <= last."""
        steps = self.alive.shape[1]
        groups = []
        for row, going in enumerate(self.alive if alive is None else alive):
            if going[first:last].any():
                these = slice(row * steps + first, row * steps + last)
                counted = going[first:last].astype(np.float64)
                groups.append(Looks(self.looks.levels[these], self.looks.gradient[these], counted).mean())
        return groups


def measure_long_dreams(
    model: WorldModel,
    dataset: EpisodeDataset,
    starts: Futures,
    policy: Mapping[str, Any],
    steps: int,
    palette: Palette | None = None,
    palette_reason: str = "",
    seed: int = 0,
) -> LongDreams:
    """Dream on from every context of `starts` under `policy` (a config with `_target_`), which sees the dream's frames.

    Compared with the held-out episodes of `dataset`. palette: for counting objects; without one palette_reason says
    why."""
    real = _real_looks(dataset)
    dream, ended, actions, kept = _dream(model, starts, policy, steps, palette, seed)
    simulated, reason = _simulate(dataset, starts, actions, palette)
    whole = real.mean()
    before_end = ~np.logical_or.accumulate(ended, axis=1)
    windows = []
    for first, last in [(round(a * steps), round(b * steps)) for a, b in WINDOWS]:
        windows.append(
            Window(
                first,
                last,
                _difference(dream.window(first, last), whole, seed),
                _if_any(dream.window(first, last, before_end), whole, seed),
                None if simulated is None else _if_any(simulated.window(first, last), whole, seed),
            )
        )
    gradient = dream.looks.gradient.reshape(len(starts), steps).mean(axis=0) / whole.gradient[0]
    objects = None
    if palette is not None and dream.areas is not None:
        spans = [(window.first, window.last) for window in windows]
        alive = None if simulated is None else (simulated.areas, simulated.alive)
        objects = count_objects(dataset, starts, palette, dream.areas, alive, spans, seed)
    calls = ended.any(axis=1)
    shown_steps = [step for step in SHOWN if step <= steps]
    return LongDreams(
        dreams=len(starts),
        steps=steps,
        real_frames=int(real.frames.sum()),
        windows=windows,
        floor=_floor(real, seed),
        gradient=gradient.tolist(),
        called_end=float(calls.mean()),
        first_end=float(np.median(ended[calls].argmax(axis=1) + 1)) if calls.any() else None,
        objects=objects,
        objects_reason=palette_reason,
        simulator_reason=reason,
        shown_steps=shown_steps,
        shown=np.stack([kept[step] for step in shown_steps], axis=1),
        films=np.stack([kept[step][:FILMED] for step in range(1, steps + 1)], axis=1),
    )


def _dream(
    model: WorldModel,
    starts: Futures,
    policy: Mapping[str, Any],
    steps: int,
    palette: Palette | None,
    seed: int,
) -> tuple[_Rollouts, np.ndarray, np.ndarray, dict[int, np.ndarray]]:
    """The rollouts, which steps called an end [B,h], the stored actions [B,h,...], and frames by step: of all dreams at
    the SHOWN steps, of the first FILMED at all others. Step 0 is the last real frame."""
    count = len(starts)
    seeds = seed + torch.arange(count)
    dreams = Dreams.begin(model, starts.context_frames, starts.context_actions, seeds)
    last = starts.context_frames[:, -1].numpy()
    kept, looks, areas, ended, actions = {0: last}, [], [], [], []
    for acted, frames, step in act_in(dreams, last, policy, steps, seed, "dreaming long"):
        actions.append(acted)
        ended.append(step.termination_probability.cpu().numpy() > THRESHOLD)
        looks.append(Looks.of(frames))
        areas.append(None if palette is None else palette.areas(frames))
        kept[len(looks)] = frames if len(looks) in SHOWN else frames[:FILMED]
    rollouts = _Rollouts(
        _by_rollout(looks),
        None if palette is None else np.stack([a for a in areas if a is not None], axis=1),
        np.ones((count, steps), bool),
    )
    return rollouts, np.stack(ended, axis=1), np.stack(actions, axis=1), kept


def _by_rollout(steps: list[Looks]) -> Looks:
    """From h looks of B frames each to one of B*h groups, rollout by rollout."""
    columns = [np.stack(column, axis=1) for column in zip(*(vars(s).values() for s in steps), strict=True)]
    return Looks(*(column.reshape(-1, *column.shape[2:]) for column in columns))


def _simulate(
    dataset: EpisodeDataset, starts: Futures, actions: np.ndarray, palette: Palette | None
) -> tuple[_Rollouts | None, str]:
    """The same in the real environment, or why it cannot be."""
    looks, areas, alive = [], [], []
    try:
        with Simulator(dataset) as simulator:
            cases = list(zip(moments(starts), actions, strict=True))
            for (number, step), stored in progress(cases, desc="the same in reality", unit="rollout"):
                simulator.bring_back(number, step)
                frames, going = simulator.play(stored, past_limit=True)
                looks.append(_looks_of(frames))
                areas.append(None if palette is None else _areas_of(palette, frames))
                alive.append(going)
    except EnvError as error:
        return None, str(error)
    counted = None if palette is None else np.stack([a for a in areas if a is not None])
    return _Rollouts(Looks.joined(looks), counted, np.stack(alive)), ""


def _real_looks(dataset: EpisodeDataset) -> Looks:
    """One group for each held-out episode, of at most REAL_FRAMES frames in all, evenly spaced."""
    episodes = dataset.split("heldout")
    total = int((dataset.lengths[episodes] + 1).sum())
    stride = max(1, total // REAL_FRAMES)
    groups = []
    for number in progress(episodes.tolist(), desc="looking at real frames", unit="episode"):
        groups.append(_looks_of(dataset.episode_frames(number)[::stride]).mean())
    return Looks.joined(groups)


def _looks_of(frames: np.ndarray) -> Looks:
    return Looks.joined([Looks.of(frames[at : at + _CHUNK]) for at in range(0, len(frames), _CHUNK)])


def _areas_of(palette: Palette, frames: np.ndarray) -> np.ndarray:
    return np.concatenate([palette.areas(frames[at : at + _CHUNK]) for at in range(0, len(frames), _CHUNK)])


def _if_any(groups: list[Looks], real: Looks, seed: int) -> Difference | None:
    return _difference(groups, real, seed) if groups else None


def _difference(groups: list[Looks], real: Looks, seed: int) -> Difference:
    every = Looks.joined(groups)
    mean = every.mean()
    weighted = share(every.frames * every.gradient, every.frames)
    found = Bootstrap(np.arange(len(groups)), seed=seed).one(weighted)
    relative = [100 * (value / float(real.gradient[0]) - 1) for value in vars(found).values()]
    return Difference(colour_distance(mean, real), colour_shift(mean, real), Interval(*relative))


def _floor(real: Looks, seed: int) -> Difference:
    """Random halves of the real episodes against each other."""
    rng, count, found = np.random.default_rng(seed), len(real.frames), []
    if count < 2:
        return Difference(float("nan"), float("nan"), Interval(*[float("nan")] * 3))
    for _ in range(SPLITS):
        half = np.zeros(count, bool)
        half[rng.permutation(count)[: count // 2]] = True
        one, other = real.mean(half), real.mean(~half)
        relative = 100 * abs(one.gradient[0] / other.gradient[0] - 1)
        found.append((colour_distance(one, other), colour_shift(one, other), relative))
    colour, shift, gradient = np.array(found).T
    low, high = np.quantile(gradient, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(
        float(colour.mean()), float(shift.mean()), Interval(float(gradient.mean()), float(low), float(high))
    )
