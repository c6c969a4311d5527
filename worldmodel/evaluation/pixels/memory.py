"""Out of sight: does what disappears behind something come out again when and where it should?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import DatasetError
from worldmodel.evaluation.dreaming import dream_branches
from worldmodel.evaluation.moments.futures import gather_futures
from worldmodel.evaluation.pixels.colours import Palette
from worldmodel.evaluation.pixels.occlusions import Occlusion, find_occlusions
from worldmodel.evaluation.statistics import Bootstrap, Interval, mean
from worldmodel.model.world_model import WorldModel

DURATIONS = ((8, 12), (16, 24))  # hidden frames: about 10 and about 20
INSIDE, OUTSIDE = 0.25, 0.5  # of the usual area: below it has gone in, above it has come out
ON_TIME = 2  # frames from the truth
LATEST = 12  # frames after the true moment at which it must have come out
_CONTEXTS = (
    2,
    3,
    4,
    6,
    8,
    12,
    16,
    24,
    32,
    48,
    64,
    96,
    128,
)  # known frames, rounded down so that dreams can share a batch
FULL, COPY, GUESS = "dream", "copy_last_frame", "guess"


@dataclass(frozen=True)
class Recall:
    """What became of one duration's occlusions in one row.

    came_out: the share that comes out at most LATEST frames before or after the truth, with a 95 % interval over
    episodes; on_time: that comes out within ON_TIME frames of it; of those that came out, medians with intervals:
    time_error, in frames (absolute), lateness (signed), and position_error, in pixels, between where it appears and
    where it really did. None without any.
    """

    came_out: Interval
    on_time: Interval
    time_error: Interval | None
    lateness: Interval | None
    position_error: Interval | None


@dataclass(frozen=True)
class Duration:
    """Occlusions of shortest to longest hidden frames: how many, in how many episodes; rows by name: the dream, the
    dream that remembers fewer steps ("window_<steps>"), copy_last_frame (never comes out), and guess (comes out when
    and where another of these occlusions did)."""

    shortest: int
    longest: int
    count: int
    episodes: int
    rows: dict[str, Recall]


@dataclass(frozen=True)
class Film:
    """One occlusion to look at: uint8 [h,H,W,C] from the last visible frame on, real and dreamt by row."""

    hidden_frames: int
    real: np.ndarray
    dreams: dict[str, np.ndarray]


@dataclass(frozen=True)
class Permanence:
    """reach: row -> how many steps back any information can come from (layers times the steps each looks back)."""

    durations: list[Duration]
    reach: dict[str, int]
    films: list[Film]


@dataclass(frozen=True)
class _Outcome:
    """When an object comes out, in frames after its true last visible one, and where (x, y), in pixels."""

    time: int
    place: np.ndarray


def limited(model: WorldModel, window: int) -> WorldModel:
    """The same model, whose dreams look back over `window` steps only."""
    other = model.without_graphs()  # a recorded step would go on with the window it was recorded with
    other.dynamics.window = window
    return other


def measure_permanence(
    model: WorldModel,
    dataset: EpisodeDataset,
    palette: Palette,
    count: int,
    windows: Sequence[int],
    seed: int = 0,
    max_batch: int = 256,
) -> Permanence:
    """Dream from the last frame before each held-out occlusion under the recorded actions, knowing the episode as far
    back as the model remembers.

    count: at most so many occlusions of each of DURATIONS; windows: what else the dream is allowed to remember, in
    steps. Raises DatasetError where nothing is ever hidden for so long.
    """
    everything = find_occlusions(dataset, dataset.split("heldout"), model.world.num_context_frames)
    config = model.network.config
    models = {FULL: model, **{f"window_{w}": limited(model, w) for w in windows if w < config.window}}
    remembered = {name: config.window if name == FULL else int(name.rpartition("_")[2]) for name in models}
    colour_of = {thing: i for i, thing in enumerate(palette.numbers) if palette.trusted[i]}
    durations, films = [], []
    for shortest, longest in DURATIONS:
        cases, real, truths = _visible_ends(dataset, palette, everything, colour_of, (shortest, longest))
        if len(cases) < 2:
            continue
        order = np.sort(np.random.default_rng(seed).permutation(len(cases))[:count]).tolist()
        cases, real, truths = [cases[i] for i in order], [real[i] for i in order], [truths[i] for i in order]
        colours = [colour_of[case.thing] for case in cases]
        steps = [truth.time + LATEST for truth in truths]
        frames = {
            name: _dream(which, dataset, cases, steps, config.window, seed, max_batch)
            for name, which in models.items()
        }
        outcomes = {
            name: [_outcome(palette, f, c) for f, c in zip(dreams, colours, strict=True)]
            for name, dreams in frames.items()
        }
        outcomes[COPY] = [None] * len(cases)
        outcomes[GUESS] = [*truths[1:], truths[0]]
        clusters = np.array([case.episode for case in cases])
        durations.append(
            Duration(
                shortest,
                longest,
                len(cases),
                len(np.unique(clusters)),
                {name: _recall(found, truths, clusters, seed) for name, found in outcomes.items()},
            )
        )
        films += [
            Film(cases[i].frames, real[i], {n: f[i] for n, f in frames.items()})
            for i in range(min(2, len(cases)))
        ]
    if not durations:
        raise DatasetError(
            f"In the held-out episodes of {dataset.path} nothing is hidden for {DURATIONS[0][0]} frames or more, twice."
        )
    reach = {name: config.depth * (steps - 1) for name, steps in remembered.items()}
    return Permanence(durations, reach, films)


def _visible_ends(
    dataset: EpisodeDataset,
    palette: Palette,
    occlusions: list[Occlusion],
    colour_of: dict[int, int],
    span: tuple[int, int],
) -> tuple[list[Occlusion], list[np.ndarray], list[_Outcome]]:
    """The occlusions that last so long and are seen to end, with the real frames from the last visible one on."""
    cases, frames, truths = [], [], []
    for case in occlusions:
        if span[0] <= case.frames <= span[1] and case.thing in colour_of:
            real = np.array(dataset.episode_frames(case.episode)[case.first - 1 : case.last + 2 * LATEST])
            truth = _outcome(palette, real, colour_of[case.thing])
            if truth is not None:
                cases.append(case)
                frames.append(real)
                truths.append(truth)
    return cases, frames, truths


def _dream(
    model: WorldModel,
    dataset: EpisodeDataset,
    cases: list[Occlusion],
    steps: list[int],
    window: int,
    seed: int,
    max_batch: int,
) -> list[np.ndarray]:
    """uint8 [1+steps,H,W,C] of each case, from the last visible frame on. Beyond the end of an episode, its recorded
    actions start over."""
    frames: list[np.ndarray] = [np.empty(0)] * len(cases)
    known = [max(n for n in _CONTEXTS if n <= min(case.first, window + 1)) for case in cases]
    for context in sorted(set(known)):
        places = [i for i, n in enumerate(known) if n == context]
        longest = max(steps[i] for i in places)
        episodes = np.array([cases[i].episode for i in places])
        first = np.array([cases[i].first - context for i in places])
        futures = gather_futures(dataset, episodes, first, context, longest)
        missing = longest - futures.horizon
        actions = torch.cat([futures.actions, futures.actions[:, -1:].expand(-1, missing, -1)], dim=1)
        desc = f"dreaming out of sight ({context} frames known)"
        imagined = dream_branches(model, futures, actions[:, None], seed, desc, max_batch).frames[:, 0]
        for row, place in enumerate(places):
            start = futures.context_frames[row, -1:]
            frames[place] = torch.cat([start, imagined[row, : steps[place]]]).numpy()
    return frames


def _outcome(palette: Palette, frames: np.ndarray, colour: int) -> _Outcome | None:
    """When and where the object comes out of hiding, once it has gone in (None: never); frames from the last visible
    one on."""
    area = palette.areas(frames)[:, colour] / palette.usual_area[colour]
    inside, outside = np.flatnonzero(area < INSIDE), np.flatnonzero(area > OUTSIDE)
    if not len(inside) or not (outside > inside[0]).any():
        return None
    time = int(outside[outside > inside[0]][0])
    return _Outcome(time, palette.centres(frames[time])[colour])


def _recall(found: list[_Outcome | None], truths: list[_Outcome], clusters: np.ndarray, seed: int) -> Recall:
    pairs = list(zip(found, truths, strict=True))
    late = np.array([np.nan if f is None else f.time - t.time for f, t in pairs])  # NaN compares false
    away = np.array([np.nan if f is None else np.linalg.norm(f.place - t.place) for f, t in pairs])
    out = np.abs(late) <= LATEST
    shares = Bootstrap(clusters, seed=seed)
    return Recall(
        came_out=shares.one(mean(out)),
        on_time=shares.one(mean(np.abs(late) <= ON_TIME)),
        time_error=_median(np.abs(late)[out], clusters[out], seed),
        lateness=_median(late[out], clusters[out], seed),
        position_error=_median(away[out], clusters[out], seed),
    )


def _median(values: np.ndarray, clusters: np.ndarray, seed: int) -> Interval | None:
    return Bootstrap(clusters, seed=seed).median(values) if len(values) else None
