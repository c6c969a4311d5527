"""`worldmodel connect A B`: fill the gap between two clips with a dream, and say how plausible it is."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.agents.planning.connect import ConnectConfig, Connection, connect
from worldmodel.agents.planning.connect_page import connection_page, film_of, strip_of
from worldmodel.agents.planning.footage import read_footage
from worldmodel.agents.planning.planner import PlannerConfig
from worldmodel.arguments import made_of
from worldmodel.device import chosen_device
from worldmodel.errors import WorldModelError
from worldmodel.files import atomic_write_bytes, atomic_write_text, write_json
from worldmodel.model.checkpoint import load_world_model, place_of
from worldmodel.report.numbers import plain
from worldmodel.report.video import encode_gif, encode_mp4, encode_png


def connect_clips(
    start: str,
    goal: str,
    checkpoint: str,
    out: str,
    planner: Mapping[str, Any],
    steps: int | Sequence[int] = 20,
    motion: bool = True,
    fit: str | None = None,
    random_plans: int = 32,
    seed: int = 0,
    device: str | None = None,
    precision: str | None = None,
) -> Path:
    """Find actions that lead from the end of `start` to the beginning of `goal` (see read_footage) in a world's dream.

    steps, motion, random_plans: see ConnectConfig. Writes connect.mp4 (where there is an ffmpeg), connect.gif,
    connect.png, actions.npy (as the environment's step takes them, those of Dict and Tuple spaces flat), connect.json
    and connect.html into `out`; returns the path of the page.
    """
    config = ConnectConfig(
        _range(steps), made_of(PlannerConfig, planner, "planner"), motion, random_plans, seed
    )
    model, folder = load_world_model(checkpoint, chosen_device(device), precision), Path(out)
    before, after = (read_footage(source, model.world, fit) for source in (start, goal))
    found = connect(model, before.frames, before.actions, after.frames, config)
    told = {
        "start": start,
        "goal": goal,
        "checkpoint": place_of(checkpoint),
        "env": model.world.env.to_json(),
        "seed": seed,
        "steps": steps if isinstance(steps, int) else list(steps),
        "start_actions_known": before.actions is not None,
        "goal_frames": found.goal_frames,
        "planner": asdict(config.search),
        "frames_imagined": config.frames,
        "actions": found.actions.tolist(),
        "uncertainty": found.uncertainty.tolist(),
    }
    mp4 = _write_film(folder, film_of(found, before.frames, after.frames), model.world.fps)
    strip = encode_png(strip_of(found, before.frames, after.frames))
    atomic_write_bytes(folder / "connect.png", strip)
    _write_actions(folder / "actions.npy", found)
    write_json(folder / "connect.json", plain({**told, "plausibility": found.plausibility()}))
    path = folder / "connect.html"
    atomic_write_text(path, connection_page(model.world.env.id, found, mp4, strip))
    _say(found, path)
    return path


def _range(steps: int | Sequence[int]) -> int | tuple[int, int]:
    if isinstance(steps, int):
        return steps
    numbers = list(steps)
    if len(numbers) != 2 or not all(isinstance(number, int) for number in numbers):
        raise WorldModelError(f"steps is {numbers}, expected a whole number, or two as steps=[8,32].")
    return numbers[0], numbers[1]


def _write_actions(path: Path, found: Connection) -> None:
    buffer = io.BytesIO()
    np.save(buffer, found.actions, allow_pickle=False)
    atomic_write_bytes(path, buffer.getvalue())


def _write_film(folder: Path, film: np.ndarray, fps: float) -> bytes | None:
    """As GIF and, where there is an ffmpeg, as mp4, which is returned."""
    mp4 = encode_mp4(film, fps)
    if mp4 is None:
        (folder / "connect.mp4").unlink(missing_ok=True)  # of an earlier call
    else:
        atomic_write_bytes(folder / "connect.mp4", mp4)
    atomic_write_bytes(folder / "connect.gif", encode_gif(film, fps))
    return mp4


def _say(found: Connection, path: Path) -> None:
    numbers = found.plausibility()
    distance = numbers["distance"]
    print(
        f"{numbers['steps']} steps; distance to the goal {distance['found']:.1f}, {distance['before']:.1f} before, "
        f"{distance['random_median']:.1f} after random plans (median), of which {numbers['random_plans_nearer']:.0%} "
        f"come nearer: {path}"
    )
