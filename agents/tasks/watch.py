"""`worldmodel agent watch`: videos of a policy in reality and in the dream, from the same starts, on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from worldmodel.agents.tasks.excursion import Course, Pair, both_worlds
from worldmodel.device import chosen_device
from worldmodel.errors import WorldModelError
from worldmodel.evaluation.psnr import CONVENTION, psnr
from worldmodel.files import atomic_write_bytes, atomic_write_text, write_json
from worldmodel.model.checkpoint import find_checkpoint, load_world_model
from worldmodel.report.numbers import plain
from worldmodel.report.page import Card, Section, film, page, paragraph
from worldmodel.report.panels import grid
from worldmodel.report.video import encode_mp4, encode_png

PANEL = 256  # pixels
_STRIP = 84  # pixels, the height of the strip of returns
_STILLS = 8
_REAL, _DREAM, _PAPER = (58, 134, 216), (224, 123, 46), (23, 25, 29)


def watch(
    out: str,
    policy: Mapping[str, Any],
    checkpoint: str,
    starts: int = 3,
    steps: int = 200,
    num_inference_steps: int = 1,
    seed: int = 0,
    device: str | None = None,
) -> Path:
    """Write watch.html, start-K.mp4 (reality beside the dream), real.mp4, dream.mp4 and watch.json into `out`.

    policy: config of any policy; checkpoint: the dream, which also names the real environment; starts: real episodes of
    at most `steps` steps, each dreamt on from its first frames. Where there is no ffmpeg, pictures stand for the
    videos. Returns the path of the page.
    """
    for name, value, least in (("starts", starts, 1), ("steps", steps, 2), ("seed", seed, 0)):
        if value < least:
            raise WorldModelError(f"{name} is {value}, expected at least {least}.")
    model = load_world_model(checkpoint, chosen_device(device))
    pairs = both_worlds(model, policy, starts, steps, num_inference_steps, seed)
    folder, fps = Path(out), model.world.fps
    films = {f"start-{k + 1}": _side_by_side(pair) for k, pair in enumerate(pairs)}
    films |= {name: _alone([getattr(pair, name) for pair in pairs]) for name in ("real", "dream")}
    sections = []
    for name, frames in films.items():
        mp4 = encode_mp4(frames, fps)
        if mp4 is not None:
            atomic_write_bytes(folder / f"{name}.mp4", mp4)
        sections.append(
            Section(_TITLES.get(name, name.replace("-", " ").capitalize()), _film(mp4, frames, name, pairs))
        )
    numbers = [_numbers(pair) for pair in pairs]
    about = {"checkpoint": str(find_checkpoint(checkpoint)), "policy": dict(policy), "seed": seed}
    write_json(folder / "watch.json", plain({**about, "psnr_convention": CONVENTION, "starts": numbers}))
    path = folder / "watch.html"
    atomic_write_text(path, _page(model.world.env.id, numbers, sections))
    for k, row in enumerate(numbers):
        print(
            f"start {k + 1}: return after the context {row['real_return']:.2f} real, {row['dream_return']:.2f} dreamt"
        )
    print(path)
    return path


_TITLES = {"real": "In reality alone", "dream": "In the dream alone"}


def _side_by_side(pair: Pair) -> np.ndarray:
    """uint8 [T,H,W,3]: reality, the dream, and below them both returns so far."""
    length = max(len(pair.real.frames), len(pair.dream.frames))
    ticks = [f"+{t}" for t in range(length)]
    video = grid(
        [[_held(pair.real, length), _held(pair.dream, length)]], ["real", "dream"], [""], ticks, PANEL
    )
    strips = [_strip(video.shape[2], pair, t) for t in range(length)]
    return np.concatenate([video, np.stack(strips)], axis=1)


def _alone(courses: Sequence[Course]) -> np.ndarray:
    """uint8 [T,H,W,3]: all starts side by side in one world."""
    length = max(len(course.frames) for course in courses)
    names = [f"start {k + 1}" for k in range(len(courses))]
    return grid(
        [[_held(course, length) for course in courses]], names, [], [f"+{t}" for t in range(length)], PANEL
    )


def _held(course: Course, length: int) -> np.ndarray:
    """Its frames, and after its end the last one, darker."""
    after = np.repeat(course.frames[-1:] // 3, length - len(course.frames), axis=0)
    return np.concatenate([course.frames, after])


def _strip(width: int, pair: Pair, t: int) -> np.ndarray:
    """uint8 [_STRIP,width,3]: both returns up to frame t, on one scale for the whole video."""
    image = Image.new("RGB", (width, _STRIP), _PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=15)
    courses = ((pair.real, _REAL, "real"), (pair.dream, _DREAM, "dream"))
    both = np.concatenate([course.returns for course, _, _ in courses])
    low, span = both.min(), max(float(np.ptp(both)), 1e-9)
    length = max(len(course.returns) for course, _, _ in courses)
    for number, (course, colour, name) in enumerate(courses):
        shown = course.returns[: t + 1]
        x = 8 + (width - 16) * np.arange(len(shown)) / max(length - 1, 1)
        y = _STRIP - 8 - (_STRIP - 38) * (shown - low) / span
        points = list(zip(x.tolist(), y.tolist(), strict=True))
        draw.line(points if len(points) > 1 else points * 2, fill=colour, width=3)
        draw.text((8 + number * width // 2, 4), f"return {shown[-1]:.2f} {name}", fill=colour, font=font)
    return np.array(image)


def _film(mp4: bytes | None, frames: np.ndarray, name: str, pairs: Sequence[Pair]) -> str:
    places = np.unique(np.linspace(0, len(frames) - 1, _STILLS).round().astype(int))
    still = np.concatenate([frames[t] for t in places[: _STILLS // 2]], axis=1)[::2, ::2]
    caption = "Darker: after the end. Lines: the return so far."
    if not name.startswith("start"):
        caption = f"{len(pairs)} starts. Darker: after the end."
    return film(mp4, encode_png(np.ascontiguousarray(still)), caption)


def _numbers(pair: Pair) -> dict[str, Any]:
    both = min(len(pair.real.frames), len(pair.dream.frames))
    real, dream = (torch.from_numpy(course.frames[1:both]) for course in (pair.real, pair.dream))
    return {
        "real_return": float(pair.real.rewards.sum()),
        "dream_return": float(pair.dream.rewards.sum()),
        "real_rewards": pair.real.rewards.tolist(),
        "dream_rewards": pair.dream.rewards.tolist(),
        "real_ended": pair.real.ended,
        "dream_ended": pair.dream.ended,
        "psnr": psnr(dream[None], real[None])[0].tolist() if both > 1 else [],
    }


def _page(env: str, numbers: Sequence[Mapping[str, Any]], sections: Sequence[Section]) -> str:
    lead = paragraph(
        "The same policy from the same real frames in the real environment and in the dream. In each it acts on what "
        "it sees there, so the two part as soon as it sees something else; what should agree is what it achieves.",
    )
    cards = [
        Card(f"{row['real_return']:.1f} / {row['dream_return']:.1f}", f"return, real / dreamt, start {k + 1}")
        for k, row in enumerate(numbers)
    ]
    foot = paragraph(
        "Every number, and the PSNR of the dream's frames against reality's: watch.json.", soft=True
    )
    return page(f"An agent in {env}", lead, cards, sections, foot)
