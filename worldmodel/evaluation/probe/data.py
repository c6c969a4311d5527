"""Real frames with their true states and masks: what a probe is fitted on and gated with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import DatasetError
from worldmodel.evaluation.moments.subject import Subject
from worldmodel.evaluation.probe.network import STACK
from worldmodel.progress import progress

MIN_BAR = 500
FRAMES_PER_EPISODE = 8
Split = Literal["train", "heldout"]


@dataclass(frozen=True)
class MaskSamples:
    """S frames uint8 [S,H,W,C] and masks uint8 [S,n,H,W], the share of each pixel that an object covers, in 255ths."""

    frames: NDArray[np.uint8]
    masks: NDArray[np.uint8]


@dataclass(frozen=True)
class Windows:
    """S stretches of W frames running: frames uint8 [S,W,H,W,C], true features float64 [S,W,D], and, where the
    environment tells it, how many pixels of each object were visible [S,W,n]."""

    frames: NDArray[np.uint8]
    features: NDArray[np.float64]
    visible_area: NDArray[np.float64]


def draw_masks(dataset: EpisodeDataset, subject: Subject, split: Split, count: int, seed: int) -> MaskSamples:
    """Random frames of random episodes of a split, each restored for its masks."""
    rng, places = np.random.default_rng(seed), list(subject.places)
    chosen = _episodes(dataset, split, -(-count // FRAMES_PER_EPISODE), rng)
    each = -(-count // len(chosen))
    frames, masks = [], []
    env = dataset.env.make()
    try:
        for number in progress(chosen, desc=f"probe: {split} masks", unit="episode", disable=count < MIN_BAR):
            episode = dataset.episode(number)
            env.reset(seed=episode.seed)
            for step in rng.choice(
                len(episode.frames), min(each, len(episode.frames)), replace=False
            ).tolist():
                env.get_wrapper_attr("set_state")(episode.infos["state"][step])
                masks.append(np.round(255 * env.get_wrapper_attr("masks")()[places]).astype(np.uint8))
                frames.append(episode.frames[step])
    finally:
        env.close()
    return MaskSamples(np.stack(frames)[:count], np.stack(masks)[:count])


def draw_windows(
    dataset: EpisodeDataset, subject: Subject, split: Split, count: int, length: int, seed: int
) -> Windows:
    """Random stretches of random episodes of a split. Raises DatasetError where no states were recorded."""
    if "qpos" not in dataset.manifest.info_keys:
        raise DatasetError(
            f"{dataset.path} holds no qpos: collect it from a MuJoCo environment to fit a probe."
        )
    rng = np.random.default_rng(seed)
    usable = dataset.split(split)
    usable = usable[dataset.lengths[usable] + 1 >= length]
    if not len(usable):
        raise DatasetError(
            f"No {split} episode has {length} frames to fit a probe on: collect longer episodes."
        )
    frames, features, areas = [], [], []
    bar = progress(
        np.sort(rng.choice(usable, count)).tolist(),
        desc=f"probe: {split} frames",
        unit="window",
        disable=count < MIN_BAR,
    )
    for number in bar:
        episode = dataset.episode(number)
        first = int(rng.integers(len(episode.frames) - length + 1))
        part = slice(first, first + length)
        frames.append(episode.frames[part])
        features.append(subject.spec.of(episode.infos["qpos"][part], episode.infos["qvel"][part]))
        told = episode.infos["visible_area"][part] if subject.places else np.zeros((length, 0))
        areas.append(told[:, list(subject.places)])
    return Windows(np.stack(frames), np.stack(features), np.stack(areas).astype(np.float64))


@dataclass(frozen=True)
class Courses:
    """True states without pictures: features float64 [S,STACK,D], newest first, and how many pixels of each object were
    visible [S,STACK,n]."""

    features: NDArray[np.float64]
    visible_area: NDArray[np.float64]


def draw_courses(dataset: EpisodeDataset, subject: Subject, split: Split, count: int, seed: int) -> Courses:
    """Every state of up to `count` episodes of a split, with the two before it."""
    rng, features, areas = np.random.default_rng(seed), [], []
    for number in progress(
        _episodes(dataset, split, count, rng),
        desc="probe: true states",
        unit="episode",
        disable=count < MIN_BAR,
    ):
        infos = dataset.episode(number).infos
        states = subject.spec.of(infos["qpos"], infos["qvel"])
        seen = (
            infos["visible_area"][:, list(subject.places)] if subject.places else np.zeros((len(states), 0))
        )
        index = np.arange(STACK - 1, len(states))[:, None] - np.arange(STACK)
        features.append(states[index])
        areas.append(seen[index])
    return Courses(np.concatenate(features), np.concatenate(areas).astype(np.float64))


def _episodes(dataset: EpisodeDataset, split: Split, count: int, rng: np.random.Generator) -> list[int]:
    episodes = dataset.split(split)
    return np.sort(rng.choice(episodes, max(1, min(len(episodes), count)), replace=False)).tolist()
