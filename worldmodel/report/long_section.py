"""A thousand steps in one dream: pictures, colours, sharpness, and which objects are still there."""

from __future__ import annotations

import numpy as np

from worldmodel.evaluation.long_dreams import Difference, LongDreams
from worldmodel.evaluation.looks import COLOUR, SHARPNESS
from worldmodel.evaluation.objects import ObjectCount
from worldmodel.evaluation.statistics import Interval
from worldmodel.report import plots
from worldmodel.report.markup import drawing, film, paragraph, table
from worldmodel.report.page import Section
from worldmodel.report.panels import grid
from worldmodel.report.plots import Line, line_plot
from worldmodel.report.video import encode_mp4, encode_png
from worldmodel.report.wording import between, decimal

STRIPS = 8  # dreams in the picture
FILM_STEPS = 100
_COLOURS = (plots.BLUE, plots.ORANGE, plots.GREEN, plots.PURPLE, plots.GREY)


def long_section(result: LongDreams, fps: float) -> Section:
    """Strips of the first dreams, a film of their beginning beside their end, differences by window, and objects."""
    intro = paragraph(
        f"{result.dreams} dreams of {result.steps:,} steps each, from held-out moments, under random actions that are "
        "held for some steps. None is stopped where it calls its end: "
        f"{result.called_end:.0%} call one"
        + (f", at step {result.first_end:.0f} in the median." if result.first_end else "."),
        "The pictures show the first dreams in the order of their seeds, not chosen.",
    )
    return Section(
        f"A dream of {result.steps:,} steps",
        intro + _pictures(result, fps) + _looks(result) + _objects(result),
    )


def _pictures(result: LongDreams, fps: float) -> str:
    rows = [[frame[None] for frame in dream] for dream in result.shown[:STRIPS]]
    columns = ["given" if step == 0 else f"+{step}" for step in result.shown_steps]
    strip = grid(rows, columns, [f"{i + 1}" for i in range(len(rows))], panel=96)[0]
    steps = min(FILM_STEPS, result.steps // 2)
    begin, end = result.films[:, :steps], result.films[:, -steps:]
    ticks = [f"+{t + 1}" for t in range(steps)]
    names = [f"dream {i + 1}" for i in range(len(result.films))]
    ranges = ["begin", "end"]
    mp4 = encode_mp4(grid([list(begin), list(end)], names, ranges, ticks, panel=160), fps)
    caption = f"Above: steps 1 to {steps} of the first dreams; below: their last {steps} steps."
    return film(None, encode_png(strip), "Each row is one dream; above each column the step.") + (
        film(mp4, encode_png(strip), caption) if mp4 else ""
    )


def _looks(result: LongDreams) -> str:
    rows = []
    for window in result.windows:
        name = f"steps {window.first + 1} to {window.last}"
        rows.append([f"dream, {name}", *_cells(window.dream)])
        if result.called_end:
            rows.append([f"dream before its end, {name}", *_cells(window.dream_before_end)])
        if not result.simulator_reason:
            rows.append([f"simulator, same actions, {name}", *_cells(window.simulator)])
    rows.append(["real frames: halves of the episodes", *_cells(result.floor)])
    last = result.windows[-1].dream
    verdict = (
        f"Frames {result.windows[-1].first + 1} to {result.windows[-1].last} differ from real ones by "
        f"{last.colour:.1f} % in colour and {last.gradient.mean:+.1f} % in gradient energy; real episodes among "
        f"themselves by {result.floor.colour:.1f} % and {result.floor.gradient.mean:.1f} %."
    )
    note = (
        f"Against {result.real_frames:,} real frames of held-out episodes. Colour: {COLOUR}; shift: by how many grey "
        f"levels, on average. Sharpness is {SHARPNESS}; relative to real frames, with 95 % interval over dreams."
        + (
            f" No simulator beside it: {result.simulator_reason}"
            if result.simulator_reason
            else " The simulator under the same actions, up to its own ends, shows where such a rollout goes by itself."
        )
    )
    steps = list(range(1, result.steps + 1))
    line = Line("gradient energy", steps, result.gradient, plots.ORANGE)
    real = Line("real frames", [1, result.steps], [1.0, 1.0], plots.GREY, "--")
    plot = line_plot("sharpness", [line, real], "imagined frames", "gradient energy (real frames: 1)")
    caption = "Gradient energy of the dreams at every step: falling is blur, rising is noise."
    header = ["frames", "colour (%)", "shift (levels)", "gradient energy (%)"]
    return paragraph(verdict) + drawing(plot, caption) + table(header, rows, note)


def _cells(difference: Difference | None) -> list[str]:
    if difference is None:
        return ["-"] * 3
    return [
        decimal(difference.colour),
        decimal(difference.colour_shift),
        between(difference.gradient, "+.1f"),
    ]


def _objects(result: LongDreams) -> str:
    if result.objects is None:
        return paragraph(f"Objects were not counted: {result.objects_reason}")
    found = [count for count in result.objects if count.trusted]
    unknown = [count.name for count in result.objects if not count.trusted]
    spans = [f"steps {w.first + 1} to {w.last}" for w in result.windows]
    rows = []
    for count in found:
        rows.append([count.name, str(count.dreams), *map(_share, count.spans), _percent(count.floor)])
        if any(value is not None for value in count.simulator):
            rows.append([f"{count.name}, simulator", "", *map(_percent, count.simulator), ""])
    note = (
        "Share of the frames in which an object is there: the area of its colour is between half and twice its usual "
        "one. Colours are learned from the simulator's masks on training frames. An object that has vanished counts as "
        "missing. Simulator: under the same actions; real frames: of all held-out episodes that show it at first."
        + (f" Not told apart by colour: {', '.join(unknown)}." if unknown else "")
    )
    steps = list(range(1, result.steps + 1))
    lines = [
        Line(count.name, steps, [100 * value for value in _smooth(count.present)], colour)
        for count, colour in zip(found, _COLOURS * 9, strict=False)
        if count.present is not None
    ]
    plot = drawing(
        line_plot("objects", lines, "imagined frames", "dreams that show it (%)"),
        "Whether each object is still there, over the dream (means of ten steps).",
    )
    return (
        (plot if lines else "")
        + table(["object", "dreams", *spans, "real frames"], rows, note)
        + _all_there(found)
    )


def _all_there(found: list[ObjectCount]) -> str:
    last = [count.spans[-1] for count in found]
    known = [(count.name, span.mean) for count, span in zip(found, last, strict=True) if span is not None]
    if not known:
        return ""
    name, worst = min(known, key=lambda pair: pair[1])
    mean = float(np.mean([share for _, share in known]))
    return paragraph(f"At the end {mean:.1%} of the objects are there; worst off is {name} with {worst:.1%}.")


def _smooth(values: list[float], width: int = 10) -> list[float]:
    sums = np.convolve(values, np.ones(width), mode="same")
    return (sums / np.convolve(np.ones(len(values)), np.ones(width), mode="same")).tolist()


def _share(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{interval.mean:.1%} ({interval.low:.0%} to {interval.high:.0%})"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
