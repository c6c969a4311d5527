"""Out of sight: does what disappears come out again when and where it should?"""

from __future__ import annotations

import numpy as np

from worldmodel.evaluation.memory import (
    COPY,
    FULL,
    GUESS,
    LATEST,
    ON_TIME,
    Duration,
    Film,
    Permanence,
    Recall,
)
from worldmodel.report.markup import film, paragraph, table
from worldmodel.report.page import Section
from worldmodel.report.panels import grid
from worldmodel.report.video import encode_mp4, encode_png
from worldmodel.report.wording import between

_COLUMNS = 10  # steps in a picture


def memory_section(result: Permanence, fps: float) -> Section:
    """A table for each duration, and films."""
    intro = paragraph(
        "An object goes behind something and is hidden for some frames. The dream begins at the last frame in which it "
        "is still seen, knows the episode before as far back as it remembers, and goes on under the recorded actions."
    )
    tables = "".join(_table(duration, result) for duration in result.durations)
    return Section("Out of sight", intro + tables + "".join(_film(item, fps) for item in result.films))


def _table(duration: Duration, result: Permanence) -> str:
    rows = [[_name(name, result), *_cells(recall)] for name, recall in duration.rows.items()]
    span = f"{duration.shortest} to {duration.longest}"
    header = [f"hidden for {span} frames", f"comes out (within {LATEST})", f"on time (within {ON_TIME})"]
    note = (
        f"{duration.count} times in {duration.episodes} held-out episodes, found by colour in dreams and real frames "
        "alike; 95 % intervals over episodes. Errors are medians of those that come out: frames early or late, and "
        "pixels between where it appears and where it really did."
    )
    return paragraph(_verdict(duration)) + table([*header, "frames off", "late by", "pixels off"], rows, note)


def _cells(recall: Recall) -> list[str]:
    shares = [f"{s.mean:.0%} ({s.low:.0%} to {s.high:.0%})" for s in (recall.came_out, recall.on_time)]
    return [
        *shares,
        between(recall.time_error, ".1f"),
        between(recall.lateness, "+.1f"),
        between(recall.position_error, ".1f"),
    ]


def _name(row: str, result: Permanence) -> str:
    if row == COPY:
        return "last frame copied"
    if row == GUESS:
        return "as another of these did"
    reach = f"(at most {result.reach[row]} steps back)"
    return f"dream {reach}" if row == FULL else f"dream, window of {row.rpartition('_')[2]} {reach}"


def _verdict(duration: Duration) -> str:
    dream, guess = duration.rows[FULL], duration.rows[GUESS]
    better = dream.on_time.low > guess.on_time.mean
    return (
        f"Of {duration.count} objects hidden for {duration.shortest} to {duration.longest} frames, "
        f"{dream.on_time.mean:.0%} come out on time in the dream; by guessing {guess.on_time.mean:.0%} would: "
        + ("it remembers." if better else "that it remembers is not shown here.")
    )


def _film(item: Film, fps: float) -> str:
    videos = {"real": item.real, **item.dreams}
    length = min(len(video) for video in videos.values())
    names = [name.replace("_", " ") for name in videos]
    cut = [video[:length] for video in videos.values()]
    ticks = ["given" if t == 0 else f"+{t}" for t in range(length)]
    places = np.unique(np.linspace(0, length - 1, _COLUMNS).round().astype(int))
    strip = grid([[video[[t]] for t in places] for video in cut], [ticks[t] for t in places], names, panel=96)
    caption = f"Hidden for {item.hidden_frames} frames. The first frame is real."
    return film(encode_mp4(grid([cut], names, [], ticks, panel=192), fps), encode_png(strip[0]), caption)
