"""Is every object still there? Counted by colour, in dreams and in real frames alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.evaluation.moments.futures import Futures
from worldmodel.evaluation.pixels.colours import Palette
from worldmodel.evaluation.statistics import Bootstrap, Interval, mean
from worldmodel.progress import progress

Span = tuple[int, int]


@dataclass(frozen=True)
class ObjectCount:
    """Of one object: how often it is there, which is when its area is within colours.PRESENT of its usual one.

    Of the dreams whose context shows it (`dreams`; an object that vanishes counts as absent from then on): present [h],
    the share at every step; spans: the share over each span of steps, with a 95 % interval over dreams; simulator: over
    the same spans, the simulator under the same actions, up to the ends of its episodes. floor: the share over all
    frames of the held-out episodes that show it at first. None without any. trusted: whether its colour finds it.
    """

    name: str
    dreams: int
    usual_area: float
    present: list[float] | None
    spans: list[Interval | None]
    simulator: list[float | None]
    floor: float | None
    trusted: bool


def count_objects(
    dataset: EpisodeDataset,
    starts: Futures,
    palette: Palette,
    areas: np.ndarray,
    simulated: tuple[np.ndarray | None, np.ndarray] | None,
    spans: list[Span],
    seed: int,
) -> list[ObjectCount]:
    """areas [B,h,n] in the dreams begun at `starts`; simulated: the same in the simulator, and alive [B,h]."""
    context = palette.areas(starts.context_frames.numpy())
    expected = _shown(palette, context)
    there = palette.present(areas)
    floors = _floors(dataset, palette, context.shape[1])
    counts = []
    for i, name in enumerate(palette.names):
        chosen = expected[:, i]
        rows, episodes = there[chosen, :, i], starts.episodes.numpy()[chosen]
        real: list[float | None] = [None] * len(spans)
        if simulated is not None and simulated[0] is not None:
            seen = palette.present(simulated[0])[chosen, :, i]
            real = [_mean(seen[:, a:b][simulated[1][chosen, a:b]]) for a, b in spans]
        counts.append(
            ObjectCount(
                name=name,
                dreams=int(chosen.sum()),
                usual_area=float(palette.usual_area[i]),
                present=rows.mean(axis=0).tolist() if len(rows) else None,
                spans=[_share(rows[:, a:b], episodes, seed) for a, b in spans],
                simulator=real,
                floor=floors[i],
                trusted=bool(palette.trusted[i]),
            )
        )
    return counts


def _shown(palette: Palette, areas: np.ndarray) -> np.ndarray:
    """bool [B,n]: which objects are wholly there in at least one of the context frames, areas [B,k,n]."""
    return np.asarray(palette.present(areas).any(axis=1))


def _floors(dataset: EpisodeDataset, palette: Palette, context_frames: int) -> list[float | None]:
    counts = np.zeros((2, len(palette.names)))
    episodes = dataset.split("heldout").tolist()
    for number in progress(episodes, desc="counting real objects", unit="episode"):
        frames = dataset.episode_frames(number)
        there = np.concatenate([palette.present(palette.areas(part)) for part in _parts(frames)])
        chosen = there[:context_frames].any(axis=0)
        counts += np.stack([there.sum(axis=0) * chosen, len(there) * chosen])
    return [float(there / frames) if frames else None for there, frames in counts.T]


def _parts(frames: np.ndarray, size: int = 64) -> list[np.ndarray]:
    return [frames[at : at + size] for at in range(0, len(frames), size)]


def _share(rows: np.ndarray, episodes: np.ndarray, seed: int) -> Interval | None:
    if not rows.size:
        return None
    return Bootstrap(episodes, seed=seed).one(mean(rows.mean(axis=1)))


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if values.size else None
