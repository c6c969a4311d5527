"""What a recipe teaches in so many minutes: the learning-speed benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import EnvError, WorldModelError
from worldmodel.evaluation.moments.futures import Futures, draw_futures, futures_before_ends
from worldmodel.evaluation.pixels.colours import Palette, learn_palette
from worldmodel.evaluation.pixels.fidelity import SHUFFLED, measure_fidelity
from worldmodel.files import read_json, write_json
from worldmodel.frames import float_to_frames
from worldmodel.model.checkpoint import find_checkpoint, load_world_model
from worldmodel.model.dreams import ENDLESS, Dreams
from worldmodel.model.world_model import WorldModel
from worldmodel.progress import progress
from worldmodel.training.budget import read_budget
from worldmodel.training.train import train

HORIZONS = (1, 2, 4, 8, 16, 32)
HELD = 8  # steps for which a random action is held in the dreams whose objects are counted
BEFORE_END = 4  # steps, at most, between the start of a dream and the end that it should find


@dataclass(frozen=True)
class LearningConfig:
    """minutes: of training on this machine, turned into steps by timing the recipe for `timing_seconds`; steps: given
    instead, so that the run may share the machine with other work; seeds: of the trainings. Measured on contexts
    held-out moments with each number of passes; objects are counted after long_steps steps of `dreams` dreams."""

    minutes: float = 5.0
    steps: int | None = None
    seeds: tuple[int, ...] = (0,)
    timing_seconds: float = 30.0
    contexts: int = 128
    passes: tuple[int, ...] = (1, 2)
    dreams: int = 32
    long_steps: int = 300

    def __post_init__(self) -> None:
        for name in ("seeds", "passes"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.seeds or not self.passes or self.contexts < 2:
            raise WorldModelError("Give at least one of seeds and of passes, and at least 2 contexts.")


@dataclass(frozen=True)
class Learned:
    """What one checkpoint of so many steps (None where it does not say) shows on held-out episodes.

    psnr, answer: by horizon 1, 2, 4, 8, 16, 32, in dB: the mean over moments, and what true actions are worth over
    those of another moment; reward: correlation with the true one at 1, 8, 16 (None where that is constant); recall: of
    the ends that follow within four steps of a start (None without any); present: share of dreams in which an object
    that the context shows is there after long_steps steps, by name; sharpness: gradient energy then, over that of real
    frames.
    """

    name: str
    passes: int
    steps: int | None
    psnr: list[float]
    answer: list[float]
    reward: list[float | None]
    recall: float | None
    present: dict[str, float]
    sharpness: float


def learn_and_measure(
    data: str,
    out: str,
    model: Mapping[str, Any],
    noise: Mapping[str, Any],
    training: Mapping[str, Any],
    config: LearningConfig,
    compare: Mapping[str, str],
) -> list[Learned]:
    """Train a world for each seed into out/seed_N, and measure these and the checkpoints `compare` (name -> folder)."""
    dataset = EpisodeDataset(data)
    steps = _steps(data, Path(out), model, noise, training, config)
    folders = {}
    for seed in config.seeds:
        name = f"seed_{seed}"
        train(data, f"{out}/{name}", model, noise, {**training, "steps": steps, "seed": seed})
        folders[name] = f"{out}/{name}"
    return [
        row
        for name, folder in {**folders, **compare}.items()
        for row in measure(name, folder, dataset, config)
    ]


def measure(name: str, folder: str, dataset: EpisodeDataset, config: LearningConfig) -> list[Learned]:
    """The checkpoint in `folder`, one row for each number of passes."""
    found_in = find_checkpoint(folder)
    world = load_world_model(found_in)
    heldout, context = dataset.split("heldout"), world.world.num_context_frames
    futures = draw_futures(dataset, heldout, context, max(HORIZONS), config.contexts, seed=1)
    ends = futures_before_ends(dataset, heldout, context, BEFORE_END)
    starts = draw_futures(dataset, heldout, context, HELD, config.dreams, seed=3)
    palette, rows = _palette(dataset), []
    for passes in config.passes:
        world.dynamics.num_inference_steps = passes
        found = measure_fidelity(world, futures, ends)
        at = [horizon - 1 for horizon in HORIZONS if horizon <= found.horizon]
        near = found.endings.near
        present, sharpness = _long_dreams(world, palette, starts, config.long_steps)
        correlations = [found.rewards.correlation[h - 1] if h <= found.horizon else None for h in (1, 8, 16)]
        rows.append(
            Learned(
                name=name,
                passes=passes,
                steps=int(found_in.name) if found_in.name.isdigit() else None,
                psnr=[found.psnr["dream"][t] for t in at],
                answer=[found.psnr["dream"][t] - found.psnr[SHUFFLED][t] for t in at],
                reward=[None if interval is None else interval.mean for interval in correlations],
                recall=None if near is None or near.recall is None else near.recall.mean,
                present=present,
                sharpness=sharpness,
            )
        )
    return rows


def _steps(
    data: str,
    out: Path,
    model: Mapping[str, Any],
    noise: Mapping[str, Any],
    training: Mapping[str, Any],
    config: LearningConfig,
) -> int:
    """How many steps the minutes are worth: timed once, so that the same command goes on with the same run."""
    if config.steps is not None:
        return config.steps
    path = out / "timing.json"
    if not path.exists():
        with TemporaryDirectory() as scratch:
            timed = {**training, "steps": 10**6, "max_minutes": config.timing_seconds / 60}
            train(data, scratch, model, noise, timed)
            call = read_budget(Path(scratch))[-1]
        rate = {"steps_per_minute": call.to_step / call.minutes, "threads": torch.get_num_threads()}
        write_json(path, rate)
    return max(1, round(config.minutes * read_json(path)["steps_per_minute"]))


def _palette(dataset: EpisodeDataset) -> Palette | None:
    """None where the environment has no masks: there are no objects to count."""
    try:
        return learn_palette(dataset)
    except EnvError:
        return None


def _long_dreams(
    world: WorldModel, palette: Palette | None, starts: Futures, steps: int
) -> tuple[dict[str, float], float]:
    count, codec = len(starts), world.world.codec
    rng = np.random.default_rng(0)
    dreams = Dreams.begin(
        world, starts.context_frames, starts.context_actions, torch.arange(count), ending=ENDLESS
    )
    space = world.world.action_space
    space.seed(int(rng.integers(2**31)))
    for step in progress(range(steps), desc="dreaming long", unit="step"):
        if step % HELD == 0:
            action = torch.from_numpy(
                codec.encode(np.stack([codec.store(space.sample()) for _ in range(count)]))
            )
        last = dreams.step(action)
    frames = float_to_frames(last.frame).cpu().numpy()
    sharpness = _gradient(frames) / _gradient(starts.context_frames[:, -1].numpy())
    if palette is None:
        return {}, sharpness
    shown = palette.present(palette.areas(starts.context_frames.numpy())).any(axis=1)
    there = palette.present(palette.areas(frames)) & shown
    return dict(
        zip(palette.names, (there.sum(0) / shown.sum(0).clip(min=1)).tolist(), strict=True)
    ), sharpness


def _gradient(frames: np.ndarray) -> float:
    return float(np.square(np.diff(frames.astype(np.float64), axis=2)).mean())
