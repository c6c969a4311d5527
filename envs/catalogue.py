"""Our scenes at a glance: a contact sheet, and a table of every reset option, both written into a folder by

python -m worldmodel.envs.catalogue docs
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from PIL import Image, ImageDraw

import worldmodel  # noqa: F401  (registers the environments)
from worldmodel.envs.scenes.options import Range, Value

NAMES = ("Push", "Swing", "CartPole", "Bounce", "Hide", "Billiards", "Maze")
MARK = "<!-- From here on written by worldmodel.envs.catalogue. -->"
_HOLD = 8  # steps that an action is held
_LABEL = 92  # width of a row's label in pixels


def options_tables() -> str:
    """Markdown: of every scene all reset options with their defaults, training and out-of-distribution ranges."""
    return "\n".join(f"### {name}-v0\n\n{_table(_ranges(name))}\n" for name in NAMES)


def contact_sheet(size: int = 64, columns: int = 9, every: int = 4, enlarge: int = 2) -> np.ndarray:
    """uint8 [H,W,3]: a row of frames per scene, `every` steps apart, under random actions that are held."""
    rows = [_row(name, size, columns, every, enlarge) for name in NAMES]
    return np.concatenate(rows)


def _row(name: str, size: int, columns: int, every: int, enlarge: int) -> np.ndarray:
    frames = [
        np.kron(frame, np.ones((enlarge, enlarge, 1), np.uint8))
        for frame in _play(name, size, columns, every)
    ]
    strip = np.concatenate([np.pad(f, ((2, 2), (2, 2), (0, 0)), constant_values=255) for f in frames], axis=1)
    label = Image.new("RGB", (_LABEL, strip.shape[0]), "white")
    ImageDraw.Draw(label).text((6, strip.shape[0] // 2 - 6), f"{name}-v0", fill="black", font_size=14)
    return np.concatenate([np.asarray(label), strip], axis=1)


def _play(name: str, size: int, columns: int, every: int) -> list[np.ndarray]:
    env = gym.make(f"worldmodel/{name}-v0", size=size)
    env.action_space.seed(3)
    frame, _ = env.reset(seed=3)
    frames = [frame]
    for step in range((columns - 1) * every):
        if step % _HOLD == 0:
            action = env.action_space.sample()
        frame, _, terminated, _, _ = env.step(action)
        if terminated:
            frame, _ = env.reset()
        if step % every == every - 1:
            frames.append(frame)
    env.close()
    return frames


def _ranges(name: str) -> dict[str, Range]:
    creator: Any = gym.envs.registration.load_env_creator(str(gym.spec(f"worldmodel/{name}-v0").entry_point))
    return creator.ranges


def _table(ranges: dict[str, Range]) -> str:
    """The options of further balls are those of the first."""
    head = "| option | meaning | default | training | allowed |\n|---|---|---|---|---|"
    lines = [_line(name, entry) for name, entry in ranges.items() if not re.match("ball_[2-9]", name)]
    return "\n".join([head, *lines])


def _line(name: str, entry: Range) -> str:
    training = "the default" if entry.training is None else _span(entry.training)
    default = "drawn" if entry.default is None else _value(entry.default)
    numbers = "" if entry.size == 1 else f" ({entry.size} numbers)"
    more = ", and so on for the others" if name.startswith("ball_1") else ""
    allowed = f"{_span(entry.outside)} {entry.unit}"
    return f"| `{name}` | {entry.meaning}{more}{numbers} | {default} | {training} | {allowed} |"


def _span(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.3g} to {ends[1]:.3g}"


def _value(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float | int) else ", ".join(f"{v:g}" for v in value)


def main(folder: Path) -> None:
    """Write scenes.png, and the tables into scenes.md below its mark."""
    Image.fromarray(contact_sheet()).save(folder / "scenes.png", optimize=True)
    page = folder / "scenes.md"
    written, _, _ = page.read_text().partition(MARK)
    page.write_text(f"{written}{MARK}\n\n{options_tables()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
