"""`worldmodel bench training`: what a recipe teaches in so many minutes, beside other checkpoints."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import cycle
from pathlib import Path
from typing import Any

from worldmodel.arguments import made_of
from worldmodel.benchmark.learning import HORIZONS, Learned, LearningConfig, learn_and_measure
from worldmodel.files import atomic_write_text, write_json
from worldmodel.machine import this_machine
from worldmodel.report.bench_page import aligned
from worldmodel.report.page import Card, Section, page, paragraph, table
from worldmodel.report.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, Line, line_plot

HEADER = [
    "world, passes",
    "steps",
    f"PSNR at {', '.join(map(str, HORIZONS))}",
    "true over shuffled actions, dB",
]
HEADER += ["reward r at 1, 8, 16", "recall of ends", "objects present", "sharpness"]


def bench_training(
    data: str,
    out: str,
    model: Mapping[str, Any],
    noise: Mapping[str, Any],
    train: Mapping[str, Any],
    measurements: Mapping[str, Any] | None = None,
    compare: Mapping[str, str] | None = None,
) -> Path:
    """Train for the minutes of `measurements` (LearningConfig), measure, print a table, and write learning.html and
    learning.json to `out`; compare: name -> checkpoint measured beside it. The same command goes on where it was.
    Returns the path of learning.html."""
    config = made_of(LearningConfig, measurements, "measurements")
    rows = learn_and_measure(data, out, model, noise, train, config, compare or {})
    cells = [_cells(row) for row in rows]
    print(aligned(HEADER, cells))
    command, folder = " ".join(["worldmodel", *sys.argv[1:]]), Path(out)
    content = {"command": command, "machine": asdict(this_machine()), "measurements": asdict(config)}
    write_json(
        folder / "learning.json", content | {"horizons": HORIZONS, "rows": [asdict(row) for row in rows]}
    )
    atomic_write_text(folder / "learning.html", _page(rows, cells, command))
    print(f"page: {folder / 'learning.html'}\nall numbers: {folder / 'learning.json'}")
    return folder / "learning.html"


def _cells(row: Learned) -> list[str]:
    return [
        f"{row.name}, {row.passes}",
        "-" if row.steps is None else f"{row.steps:,}",
        " / ".join(f"{value:.1f}" for value in row.psnr),
        " / ".join(f"{value:.1f}" for value in row.answer),
        ", ".join("-" if value is None else f"{value:.2f}" for value in row.reward),
        "-" if row.recall is None else f"{row.recall:.2f}",
        ", ".join(f"{name} {share:.0%}" for name, share in row.present.items()) or "-",
        f"{row.sharpness:.2f}",
    ]


def _page(rows: Sequence[Learned], cells: Sequence[Sequence[str]], command: str) -> str:
    lines = [
        Line(f"{row.name}, {row.passes}", HORIZONS[: len(row.psnr)], row.psnr, colour)
        for row, colour in zip(rows, cycle([BLUE, ORANGE, GREEN, PURPLE, GREY]))
    ]
    best = max(rows, key=lambda row: row.psnr[-1])
    sections = [
        Section("What each world shows on held-out episodes", table(HEADER, cells)),
        Section("PSNR by horizon", line_plot("psnr", lines, "frames ahead", "dB")),
    ]
    card = Card(f"{best.psnr[-1]:.1f} dB", f"PSNR of {best.name} at the last horizon, {best.passes} passes")
    return page("Learning speed", paragraph(this_machine().summary()), [card], sections, paragraph(command))
