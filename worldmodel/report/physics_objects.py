"""M4: is every object still there? With strips of objects that go out of sight."""

from __future__ import annotations

import numpy as np

from worldmodel.frames import as_colours
from worldmodel.physics.permanence import STRATA
from worldmodel.physics.report_data import PhysicsReport, Split, Strip
from worldmodel.report.markup import film, paragraph
from worldmodel.report.page import Section
from worldmodel.report.panels import grid
from worldmodel.report.physics_words import Cells, distrusted, mean_of, number_table
from worldmodel.report.video import encode_png

MARK = np.array([255, 0, 255], np.uint8)


def objects_section(report: PhysicsReport, split: Split) -> Section:
    """Permanence by stratum, what becomes of the missing ones, and strips."""
    columns = [("present", "present", ".1%")]
    columns += [(f"present, {stratum}", stratum, ".1%") for stratum in STRATA]
    columns += [(name, f"{name} per 100", ".1f") for name in ("vanished", "duplicated", "swapped")]
    columns += [("freeze bias", "freeze bias", ".2f"), ("freeze bias back", "when back", ".2f")]
    numbers = {name: row.numbers for name, row in split.rows.items()}
    note = (
        "Share of object-frames in which an object is there: its predicted mask has between half and twice the "
        "true visible area, and its centre is within a tenth of the picture of the true one. What is missing "
        "counts as missing, always. Strata: always visible; back after at least 5, 10 or 20 frames behind "
        "something; back after leaving the picture. Freeze bias: 0 is where it should be, 1 where it was left."
    )
    if report.probe.why:
        note = (
            "Share of object-frames in which an object's colour covers between half and twice the area that it truly "
            "covers; where it is, is not asked here."
        )
    strips = "".join(_strip(strip) for strip in report.strips)
    return Section(
        "M4: is everything still there?",
        paragraph(_verdict(report, split))
        + number_table(numbers, columns, split.horizon, note, report.untrusted)
        + strips,
    )


def _verdict(report: PhysicsReport, split: Split) -> str:
    if words := distrusted(report.untrusted, "M4"):
        return words
    parts, cells = [], Cells(split.horizon, inline=True)
    for name in report.models:
        row = split.rows[name].numbers
        if mean_of(row.get("present")) is None:
            return "Objects cannot be told apart in the pictures well enough to count them."
        if report.probe.why:
            there = cells.number(row.get("present"), ".1%")
            parts.append(
                f"In dreams of {name} an object's colour covers about its true area in {there} of the object-frames."
            )
            continue
        parts.append(
            f"In dreams of {name} an object is where it should be in {cells.number(row.get('present'), '.1%')} of "
            f"the object-frames; per 100 of them {cells.number(row.get('vanished'), '.1f')} have vanished, "
            f"{cells.number(row.get('duplicated'), '.1f')} are doubled and "
            f"{cells.number(row.get('swapped'), '.1f')} stand where another should."
        )
    return " ".join(parts)


def _strip(strip: Strip) -> str:
    rows = {"real": strip.real, **strip.models}
    marked = [
        [_marked(frame, place)[None] for frame, place in zip(frames, strip.places, strict=True)]
        for frames in rows.values()
    ]
    columns = [f"+{step}" for step in strip.steps]
    picture = grid(marked, columns, list(rows), panel=112)[0]
    return film(
        None, encode_png(picture), f"{strip.name}: the mark shows where it truly is, when it is to be seen."
    )


def _marked(frame: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Four small squares around a place; the frame itself where there is none."""
    shown = as_colours(frame).copy()
    if np.isfinite(place).all():
        height, width = shown.shape[:2]
        reach = max(3, height // 12)
        row, column = (round(float(value)) for value in place)
        for down, right in ((-reach, 0), (reach, 0), (0, -reach), (0, reach)):
            top, left = np.clip(row + down, 0, height - 2), np.clip(column + right, 0, width - 2)
            shown[top : top + 2, left : left + 2] = MARK
    return shown
