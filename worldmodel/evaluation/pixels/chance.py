"""Where the world has chance in it: do dreams of one moment spread as the simulator's futures do, without blurring?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import EnvError
from worldmodel.evaluation.dreaming import dream_branches
from worldmodel.evaluation.moments.futures import Futures
from worldmodel.evaluation.moments.reality import real_branches
from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.evaluation.pixels.colours import Palette
from worldmodel.evaluation.pixels.looks import gradient_energy
from worldmodel.evaluation.statistics import Bootstrap, Interval, share
from worldmodel.model.world_model import WorldModel

CELLS = 8  # along each side of the picture: where an object is, for comparing distributions
SHOWN = 8  # samples in the picture
ROUNDING = 1e-9


@dataclass(frozen=True)
class Spread:
    """By horizon 1..h, means over contexts: of the dreams and of the simulator's futures, and sum(dream) / sum(real)
    with a 95 % interval over episodes (NaN where no real futures differ)."""

    dream: list[float]
    real: list[float]
    ratio: list[Interval]


@dataclass(frozen=True)
class Whereabouts:
    """Of one object, found by its colour: how far its samples lie apart (root mean square distance of its centre from
    their mean, in pixels), and the distributions over CELLS x CELLS cells of the picture, by horizon: total variation
    distance in per cent between dreams and one half of the real futures, and, as a floor, between the real halves."""

    name: str
    apart: Spread
    cells: list[float]
    cells_floor: list[float]


@dataclass(frozen=True)
class Chance:
    """`contexts` held-out moments, each continued `samples` times under the same actions: dreams with different noise,
    real futures with different random streams. Futures are compared up to their ends, each by its own account.

    pixels: root mean square distance of two samples (grey levels), over all pairs; sharpness: gradient energy
    (looks.SHARPNESS), whose ratio falls below 1 where samples are averages; alive: samples that have not ended, dream
    and real. Pictures uint8 [SHOWN,H,W,C] of the first context's last shown step, and its context frame [H,W,C].
    """

    contexts: int
    samples: int
    restored_by: str
    pixels: Spread
    sharpness: Spread
    objects: list[Whereabouts]
    alive: list[tuple[float, float]]
    shown_step: int
    context: np.ndarray
    dream_frames: np.ndarray
    real_frames: np.ndarray

    @property
    def deterministic(self) -> bool:
        """Whether all real futures of each moment were the same."""
        return max(self.pixels.real) == 0.0


def measure_chance(
    model: WorldModel,
    dataset: EpisodeDataset,
    futures: Futures,
    samples: int,
    palette: Palette | None = None,
    seed: int = 0,
    max_batch: int = 256,
) -> Chance | NotMeasured:
    """Continue every context of `futures` `samples` times, dreamt and, if it can be brought back, in reality."""
    batch, horizon = len(futures), futures.horizon
    seeds = torch.arange(batch * samples).view(batch, samples)
    actions = futures.actions[:, None].expand(-1, samples, -1, -1)
    try:
        real = real_branches(dataset, futures, actions, seed + 1 + seeds, "playing other chances")
    except EnvError as error:
        return NotMeasured(str(error))
    repeated = futures.select(torch.arange(batch).repeat_interleave(samples))
    imagined = dream_branches(
        model, repeated, repeated.actions[:, None], seed, "dreaming other chances", max_batch
    )
    dream = imagined.frames[:, 0].unflatten(0, (batch, samples)).numpy()
    over = imagined.terminated[:, 0].unflatten(0, (batch, samples)).numpy()
    known = futures.valid.numpy()[:, None]  # beyond a recorded end there are no actions to follow
    alive = _before_end(over) & known, real.alive.numpy() & known
    frames, clusters = (dream, real.frames.numpy()), futures.episodes.numpy()
    distances = [_pair_distances(f, a) for f, a in zip(frames, alive, strict=True)]
    energies = [_energies(f, a) for f, a in zip(frames, alive, strict=True)]
    shown = min(8, horizon) - 1
    return Chance(
        contexts=batch,
        samples=samples,
        restored_by=real.restored_by,
        pixels=_spread(distances[0], distances[1], clusters, seed),
        sharpness=_spread(energies[0], energies[1], clusters, seed),
        objects=[] if palette is None else _whereabouts(palette, frames, alive, clusters, seed),
        alive=[(float(a), float(b)) for a, b in zip(*(side.mean((0, 1)) for side in alive), strict=True)],
        shown_step=shown + 1,
        context=futures.context_frames[0, -1].numpy(),
        dream_frames=dream[0, :SHOWN, shown],
        real_frames=frames[1][0, :SHOWN, shown],
    )


def _before_end(over: np.ndarray) -> np.ndarray:
    """bool [...,h]: True up to the first step that is over, that one included."""
    ended = np.logical_or.accumulate(over, axis=-1)
    return np.concatenate([np.ones_like(ended[..., :1]), ~ended[..., :-1]], axis=-1)


def _pair_distances(frames: np.ndarray, alive: np.ndarray) -> np.ndarray:
    """Mean distance [B,h] over the pairs of samples [B,S,h,...] that are both alive; NaN without any."""
    batch, samples, horizon = alive.shape
    found = np.full((batch, horizon), np.nan)
    upper = np.triu_indices(samples, 1)
    for b in range(batch):
        for t in range(horizon):
            flat = torch.from_numpy(frames[b, :, t].reshape(samples, -1)).float()
            # Without matrix products, which would leave a rounding error between frames that are the same.
            apart = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist").numpy()
            pairs = (alive[b, :, None, t] & alive[b, None, :, t])[upper]
            if pairs.any():
                found[b, t] = apart[upper][pairs].mean() / np.sqrt(flat.shape[1])
    return found


def _energies(frames: np.ndarray, alive: np.ndarray) -> np.ndarray:
    """Mean gradient energy [B,h] of the samples that are alive; NaN without any."""
    flat = frames.reshape(-1, *frames.shape[3:])
    parts = [gradient_energy(flat[at : at + 256]) for at in range(0, len(flat), 256)]
    return _mean(np.concatenate(parts).reshape(alive.shape), alive)


def _whereabouts(
    palette: Palette,
    frames: tuple[np.ndarray, np.ndarray],
    alive: tuple[np.ndarray, np.ndarray],
    clusters: np.ndarray,
    seed: int,
) -> list[Whereabouts]:
    apart, cells = [], []
    for these, going in zip(frames, alive, strict=True):
        places, covers = _located(palette, these)
        apart.append([_apart(places[..., i, :], going) for i in range(len(palette.names))])
        cells.append((covers, going))
    found = []
    for i, name in enumerate(palette.names):
        if not palette.trusted[i]:
            continue
        (dream, dreaming), (real, going) = cells
        half = real.shape[1] // 2
        dreamt = _occupancy(dream[..., i, :], dreaming)
        one = _occupancy(real[:, :half, :, i], going[:, :half])
        other = _occupancy(real[:, half:, :, i], going[:, half:])
        found.append(
            Whereabouts(
                name,
                _spread(apart[0][i], apart[1][i], clusters, seed),
                _variation(dreamt, one),
                _variation(other, one),
            )
        )
    return found


def _located(palette: Palette, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres [B,S,h,n,2] and areas by cell [B,S,h,n,CELLS**2] of frames [B,S,h,H,W,3]."""
    height, width = frames.shape[3:5]
    rows, columns = (np.arange(n) * CELLS // n for n in (height, width))
    to_rows, to_columns = (np.eye(CELLS, dtype=np.float32)[places] for places in (rows, columns))
    places, covers = [], []
    flat = frames.reshape(-1, *frames.shape[3:])
    for at in range(0, len(flat), 256):
        part = flat[at : at + 256]
        places.append(palette.centres(part))
        cover = np.einsum("bhwn,hr,wc->bnrc", palette.cover(part), to_rows, to_columns, optimize=True)
        covers.append(cover.reshape(*cover.shape[:2], -1))
    lead = frames.shape[:3]
    return (
        np.concatenate(places).reshape(*lead, -1, 2),
        np.concatenate(covers).reshape(*lead, len(palette.names), -1),
    )


def _apart(places: np.ndarray, alive: np.ndarray) -> np.ndarray:
    """Root mean square distance [B,h] of centres [B,S,h,2] from their mean over samples; NaN for fewer than two."""
    known = alive & np.isfinite(places).all(axis=-1)
    count = known.sum(axis=1)
    safe = np.where(known[..., None], places, 0.0)
    mean = safe.sum(axis=1) / np.maximum(count, 1)[..., None]
    squares = np.where(known, np.square(safe - mean[:, None]).sum(-1), 0.0).sum(axis=1)
    return np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)


def _occupancy(covers: np.ndarray, alive: np.ndarray) -> np.ndarray:
    """Distribution over cells [B,h,cells] of the samples [B,S,h,cells] that are alive together; NaN where unseen."""
    total = (covers * alive[..., None]).sum(axis=1)
    whole = total.sum(axis=-1, keepdims=True)
    return np.divide(total, whole, out=np.full(total.shape, np.nan), where=whole > 0)


def _variation(first: np.ndarray, second: np.ndarray) -> list[float]:
    """Total variation distance in per cent by horizon, averaged over the contexts where both are known."""
    distance = 50 * np.abs(first - second).sum(axis=-1)
    return _mean(distance.T, np.isfinite(distance.T)).tolist()


def _spread(dream: np.ndarray, real: np.ndarray, clusters: np.ndarray, seed: int) -> Spread:
    both = np.isfinite(dream) & np.isfinite(real)
    # Equal samples leave a rounding error behind: no spread, to which nothing can be compared.
    above, below = np.where(both, dream, 0.0), np.where(both & (real > ROUNDING), real, 0.0)
    return Spread(
        _mean(dream.T, both.T).tolist(),
        _mean(real.T, both.T).tolist(),
        Bootstrap(clusters, seed=seed).of(share(above, below)),
    )


def _mean(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Mean over axis 1 of the counted values; NaN without any."""
    count = counted.sum(axis=1)
    total = np.where(counted, values, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
