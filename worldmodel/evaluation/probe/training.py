"""Fitting a probe on real frames, and gating it on held-out ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.evaluation.moments.subject import Subject
from worldmodel.evaluation.probe.data import (
    Courses,
    MaskSamples,
    Windows,
    draw_courses,
    draw_masks,
    draw_windows,
)
from worldmodel.evaluation.probe.network import STACK, Readout, motion, spoilt
from worldmodel.evaluation.probe.probe import (
    SEEN,
    FrozenProbe,
    Gate,
    ProbeConfig,
    default_cache,
    free_points,
    load_probe,
    probe_version,
    save_probe,
)
from worldmodel.frames import frames_to_float
from worldmodel.progress import progress

_CHUNK = 128


def fitted_probe(
    dataset: EpisodeDataset, subject: Subject, config: ProbeConfig, cache: str | Path | None = None
) -> FrozenProbe:
    """The probe of this data, from the cache (a folder; None: default_cache) or fitted now and put there."""
    version = probe_version(dataset, subject, config)
    folder = (default_cache() if cache is None else Path(cache)) / version
    if folder.is_dir():
        return load_probe(folder, subject)
    probe = fit_probe(dataset, subject, config)
    probe.version = version
    folder.parent.mkdir(parents=True, exist_ok=True)
    save_probe(probe, folder, config)
    return probe


def fit_probe(dataset: EpisodeDataset, subject: Subject, config: ProbeConfig) -> FrozenProbe:
    """Fit on training episodes, gate on held-out ones; the same arguments give the same probe."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        probe = FrozenProbe(subject.spec, subject.objects, free_points(subject))
    generator = torch.Generator().manual_seed(config.seed)
    if probe.masks is not None:
        _fit_masks(
            probe, draw_masks(dataset, subject, "train", config.mask_frames, config.seed), config, generator
        )
    windows = draw_windows(dataset, subject, "train", config.windows, config.length, config.seed + 1)
    features = torch.from_numpy(windows.features).float().flatten(0, 1)
    probe.feature_mean.copy_(features.mean(0))
    probe.feature_scale.copy_(features.std(0).clamp(min=1e-6))
    if probe.points is not None:
        _fit_points(probe, windows, config, generator)
    noise = _fit_places(probe, windows, config, generator)
    courses = draw_courses(dataset, subject, "train", config.episodes, config.seed + 4)
    _fit_speeds(probe, courses, noise, config, generator)
    probe.eval().requires_grad_(False)
    heldout = draw_windows(dataset, subject, "heldout", config.gate_windows, config.length, config.seed + 2)
    masks = None
    if probe.masks is not None:
        masks = draw_masks(dataset, subject, "heldout", 2 * config.gate_windows, config.seed + 3)
    probe.gate = gated(probe, heldout, masks)
    return probe


def gated(probe: FrozenProbe, windows: Windows, masks: MaskSamples | None) -> Gate:
    """How well it reads these real frames."""
    read = probe.read(windows.frames[:, : STACK - 1], windows.frames[:, STACK - 1 :]).features
    truth, known = windows.features[:, STACK - 1 :], np.isfinite(read)
    shown = _shown(probe, windows)[:, STACK - 1 :]
    r2, told = [], []
    for i in range(truth.shape[-1]):
        rows = known[..., i]
        true, off = truth[rows, i], (read - truth)[rows, i]
        spread = ((true - true.mean()) ** 2).sum() if len(true) > 2 else 0.0
        r2.append(max(-9.0, float(1 - (off**2).sum() / spread)) if spread > 1e-12 else -9.0)
        plain = shown[..., i]
        told.append(float(rows[plain].mean()) if plain.any() else 0.0)
    iou = () if masks is None else _iou(probe, masks)
    return Gate(tuple(r2), iou, tuple(told), truth.shape[0] * truth.shape[1])


def _shown(probe: FrozenProbe, windows: Windows) -> np.ndarray:
    """bool [S,W,D]: the feature's object is in plain sight in truth."""
    plain = windows.visible_area >= SEEN * probe.usual_area.numpy()
    shown = np.ones(windows.features.shape, bool)
    for i, feature in enumerate(probe.spec.features):
        if feature.object in probe.objects:
            shown[..., i] = plain[..., probe.objects.index(feature.object)]
    return shown


@torch.no_grad()
def _iou(probe: FrozenProbe, samples: MaskSamples) -> tuple[float, ...]:
    """Mean over the frames that show an object of sum(min) / sum(max) of read and true cover."""
    assert probe.masks is not None
    frames = frames_to_float(torch.from_numpy(samples.frames))
    true, read = _cover(samples.masks), torch.cat([probe.masks(part) for part in frames.split(_CHUNK)])
    ratio = torch.minimum(read, true).sum((2, 3)) / torch.maximum(read, true).sum((2, 3)).clamp(min=1e-6)
    shown = true.sum((2, 3)) >= SEEN * probe.usual_area
    return tuple(
        float(ratio[shown[:, i], i].mean()) if shown[:, i].any() else 0.0 for i in range(true.shape[1])
    )


def _fit_masks(
    probe: FrozenProbe, samples: MaskSamples, config: ProbeConfig, generator: torch.Generator
) -> None:
    assert probe.masks is not None
    area = samples.masks.sum((2, 3), dtype=np.float64) / 255
    usual = [np.median(column[column > 0]) if (column > 0).any() else 1.0 for column in area.T]
    probe.usual_area.copy_(torch.tensor(usual))
    optimizer = torch.optim.AdamW(probe.masks.parameters(), lr=1e-2, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-2, config.mask_steps, pct_start=0.15)
    for _ in progress(range(config.mask_steps), desc="probe: objects", unit="step"):
        index = torch.randint(len(samples.frames), (config.mask_batch,), generator=generator).numpy()
        frames = spoilt(frames_to_float(torch.from_numpy(samples.frames[index])), generator)
        cover = _cover(samples.masks[index])
        target = torch.cat([cover, 1 - cover.sum(1, keepdim=True)], dim=1).clamp(0, 1)
        _descend(F.cross_entropy(probe.masks.logits(frames), target), optimizer, schedule)


def _fit_points(
    probe: FrozenProbe, windows: Windows, config: ProbeConfig, generator: torch.Generator
) -> None:
    """The key points, together with a readout of places that is fitted again afterwards."""
    assert probe.points is not None
    frames, target = windows.frames.reshape(-1, *windows.frames.shape[2:]), _places(probe, windows)
    optimizer = torch.optim.AdamW([*probe.points.parameters(), *probe.places.parameters()], lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, config.mask_steps, pct_start=0.1)
    for _ in progress(range(config.mask_steps), desc="probe: key points", unit="step"):
        index = torch.randint(len(frames), (2 * config.mask_batch,), generator=generator)
        shown = spoilt(frames_to_float(torch.from_numpy(frames[index.numpy()])), generator)
        described, _ = probe.describe(shown)
        _descend(F.smooth_l1_loss(probe.places(described), target[index]), optimizer, schedule)


def _fit_places(
    probe: FrozenProbe, windows: Windows, config: ProbeConfig, generator: torch.Generator
) -> Tensor:
    """A linear map in closed form on frames as they are, then a small network beside it, on spoilt ones too.
    Returns how far it is off [P] on frames as they are, in standard deviations."""
    frames, looks = torch.from_numpy(windows.frames), []
    for number in progress(range(1 + config.passes), desc="probe: looking", unit="pass"):
        described, areas, _ = probe.look(
            frames, (lambda f: spoilt(f, generator)) if number else (lambda f: f)
        )
        known = probe.known_places(areas >= SEEN * probe.usual_area)
        looks.append((described.flatten(0, 1), known.flatten(0, 1)))
    truth, (clean, sure) = _places(probe, windows), looks[0]
    probe.places.fit_linear(clean, truth, sure)
    described, known = (torch.cat(side) for side in zip(*looks, strict=True))
    _fit_network(
        probe.places,
        described,
        truth.repeat(len(looks), 1),
        known.float(),
        config.place_steps,
        config,
        generator,
    )
    with torch.no_grad():
        off = torch.where(sure, probe.places(clean) - truth, torch.nan)
    return off.square().nanmean(0).sqrt().nan_to_num(1.0)


def _fit_speeds(
    probe: FrozenProbe, courses: Courses, noise: Tensor, config: ProbeConfig, generator: torch.Generator
) -> None:
    """Speeds from true places with as much noise as the reading of places has: of these there are far more than of
    frames that could be looked at, and impacts, of which speeds are hard to tell, are rare."""
    count = len(courses.features)
    every = (torch.from_numpy(courses.features).float() - probe.feature_mean) / probe.feature_scale
    there = torch.from_numpy(courses.visible_area >= SEEN * probe.usual_area.double().numpy())
    places, target = every[..., probe.is_place], every[:, 0, ~probe.is_place]
    known = probe.known_places(there)
    weights = probe.known(there)[:, ~probe.is_place].float()

    def seen(index: Tensor) -> Tensor:
        level = noise * 4.0 ** (torch.rand(len(index), 1, 1, generator=generator) - 0.5)
        read = places[index] + level * torch.randn(places[index].shape, generator=generator)
        return motion(read, known[index])

    everything = torch.arange(count)
    probe.speeds.fit_linear(seen(everything), target, weights > 0)
    optimizer = torch.optim.AdamW(probe.speeds.layers.parameters(), lr=2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, config.speed_steps, pct_start=0.1)
    for _ in progress(range(config.speed_steps), desc="probe: speeds", unit="step"):
        index = torch.randint(count, (config.batch,), generator=generator)
        error = (probe.speeds(seen(index)) - target[index]).square() * weights[index]
        _descend(error.mean(), optimizer, schedule)


def _fit_network(
    readout: Readout,
    seen: Tensor,
    target: Tensor,
    weights: Tensor,
    steps: int,
    config: ProbeConfig,
    generator: torch.Generator,
) -> None:
    optimizer = torch.optim.AdamW(readout.layers.parameters(), lr=2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps, pct_start=0.1)
    for _ in progress(range(steps), desc="probe: places", unit="step"):
        index = torch.randint(len(target), (config.batch,), generator=generator)
        error = (readout(seen[index]) - target[index]).square() * weights[index]
        _descend(error.mean(), optimizer, schedule)


def _descend(
    loss: Tensor, optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler
) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()


def _places(probe: FrozenProbe, windows: Windows) -> Tensor:
    """[S*W,P], standardised."""
    truth = (torch.from_numpy(windows.features).float() - probe.feature_mean) / probe.feature_scale
    return truth[..., probe.is_place].flatten(0, 1)


def _cover(masks: np.ndarray) -> Tensor:
    return torch.from_numpy(masks).float() / 255
