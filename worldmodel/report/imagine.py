"""`worldmodel imagine`: dream on from real frames and look at it: a video, a strip of frames, and the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.device import chosen_device
from worldmodel.errors import WorldModelError
from worldmodel.evaluation.excursions import Excursion, retrace, wander
from worldmodel.evaluation.psnr import CONVENTION, psnr
from worldmodel.files import atomic_write_bytes, write_json
from worldmodel.model.checkpoint import find_checkpoint, load_world_model
from worldmodel.report.numbers import plain
from worldmodel.report.panels import difference, dimmed, grid
from worldmodel.report.video import encode_gif, encode_mp4, encode_png

PANEL, STRIP_PANEL = 192, 96  # pixels
STRIP_FRAMES = 10


def imagine(
    checkpoint: str,
    out: str,
    policy: Mapping[str, Any],
    steps: int = 60,
    contexts: int = 4,
    data: str | None = None,
    num_inference_steps: int | None = None,
    seed: int = 0,
    gif: bool = False,
    device: str | None = None,
) -> Path:
    """Dream `steps` steps from `contexts` real starts; writes dream.mp4, dream.png and dream.json into `out`; `gif`:
    dream.gif too, without the differences, which code hosts play.

    Without `data`: from the checkpoint's own starts, under `policy`'s actions. With it: from held-out moments under the
    recorded actions, with what really happened beside the dream. Returns the path of the video, or, where there is no
    ffmpeg, of the picture.
    """
    for name, value, least in (("steps", steps, 1), ("contexts", contexts, 1), ("seed", seed, 0)):
        if value < least:
            raise WorldModelError(f"{name} is {value}, expected at least {least}.")
    model = load_world_model(checkpoint, chosen_device(device))
    if data is None:
        excursion = wander(model, policy, contexts, steps, num_inference_steps, seed)
    else:
        excursion = retrace(model, EpisodeDataset(data), contexts, steps, num_inference_steps, seed)
    settings = {"checkpoint": str(find_checkpoint(checkpoint)), "data": data, "seed": seed}
    path = _write(excursion, Path(out), model.world.fps, settings)
    if gif:
        videos, columns = _videos(excursion)
        beside = [[video for row in videos for video in row[:2]]]
        frames = grid(beside, columns[:2] * contexts, [], [""] * len(beside[0][0]), STRIP_PANEL)
        atomic_write_bytes(Path(out) / "dream.gif", encode_gif(frames, model.world.fps))
    print(f"{contexts} dreams of {len(excursion.actions[0])} steps: {path}")
    return path


def _write(excursion: Excursion, folder: Path, fps: float, settings: dict[str, Any]) -> Path:
    videos, columns = _videos(excursion)
    context, length = excursion.context.shape[1], len(videos[0][0])
    ticks = ["given" if t < context else f"+{t - context + 1}" for t in range(length)]
    write_json(folder / "dream.json", plain({**settings, **_numbers(excursion)}))
    picture, film = folder / "dream.png", folder / "dream.mp4"
    atomic_write_bytes(picture, _strip(videos, columns, ticks, context - 1))
    rows = [str(number + 1) for number in range(len(videos))]
    if excursion.truth is None:  # side by side: nothing to compare with in the row of each
        videos, columns, rows = [[row[0] for row in videos]], [f"dream {number}" for number in rows], []
    mp4 = encode_mp4(grid(videos, columns, rows, ticks, PANEL), fps)
    if mp4 is None:
        return picture
    atomic_write_bytes(film, mp4)
    return film


def _videos(excursion: Excursion) -> tuple[list[list[np.ndarray]], list[str]]:
    """For each dream the videos in its row, uint8 [n+h,H,W,C], dimmed after the end, and the columns' names."""
    context = excursion.context.numpy()
    dreamt = np.concatenate([context, dimmed(excursion.imagined.frames.numpy(), excursion.over())], axis=1)
    if excursion.truth is None:
        return [[video] for video in dreamt], ["dream"]
    over = ~excursion.truth.valid.numpy()
    real = np.concatenate([context, dimmed(excursion.truth.frames.numpy(), over)], axis=1)
    rows = [[true, dream, difference(true, dream)] for true, dream in zip(real, dreamt, strict=True)]
    return rows, ["real", "dream", "difference"]


def _strip(videos: list[list[np.ndarray]], columns: list[str], ticks: list[str], first: int) -> bytes:
    """Frames at even distances from number `first` on, one line for each video."""
    places = np.unique(np.linspace(first, len(ticks) - 1, STRIP_FRAMES).round().astype(int))
    lines = [[video[[t]] for t in places] for row in videos for video in row]
    names = [f"{number + 1} {column}" for number in range(len(videos)) for column in columns]
    return encode_png(grid(lines, [ticks[t] for t in places], names, panel=STRIP_PANEL)[0])


def _numbers(excursion: Excursion) -> dict[str, Any]:
    imagined, truth = excursion.imagined, excursion.truth
    numbers: dict[str, Any] = {
        "actions": excursion.actions.tolist(),
        "rewards": imagined.rewards.tolist(),
        "termination_probability": imagined.termination_probability.tolist(),
        "uncertainty": imagined.uncertainty.tolist(),
        "over": excursion.over().tolist(),
    }
    if truth is not None:
        # NaN where the episode was over: plain() makes it null.
        decibels = psnr(imagined.frames, truth.frames).where(truth.valid, torch.nan)
        numbers |= {
            "psnr": decibels.tolist(),
            "convention": CONVENTION,
            "true_rewards": truth.rewards.tolist(),
        }
    return numbers
