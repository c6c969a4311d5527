"""The same moment and the same actions, several times: does the dream draw from what can happen?"""

from __future__ import annotations

import math

from worldmodel.evaluation.chance import CELLS, Chance, Spread
from worldmodel.evaluation.statistics import Interval
from worldmodel.report import plots
from worldmodel.report.markup import drawing, film, paragraph, table
from worldmodel.report.page import Section
from worldmodel.report.panels import grid
from worldmodel.report.plots import Line, line_plot
from worldmodel.report.video import encode_png
from worldmodel.report.wording import between, decimal, sample_horizons


def chance_section(result: Chance) -> Section:
    """Samples side by side, and how far they spread."""
    intro = paragraph(
        f"{result.contexts} held-out moments are continued {result.samples} times under the same actions: in dreams "
        "with different noise, and in the real environment with different random streams.",
        _verdict(result),
    )
    return Section("What chance does", intro + _picture(result) + _numbers(result))


def _verdict(result: Chance) -> str:
    last = len(result.pixels.real) - 1
    if result.deterministic:
        return (
            f"In reality nothing is left to chance here; dreams of one moment are {result.pixels.dream[last]:.1f} grey "
            f"levels apart after {last + 1} steps."
        )
    at = min(8, last + 1) - 1
    ratio, sharp = result.pixels.ratio[at], result.sharpness.ratio[at]
    fits = ratio.low <= 1 <= ratio.high or 0.8 <= ratio.mean <= 1.25
    judgement = (
        "they spread as reality does"
        if fits
        else "they spread too " + ("little" if ratio.mean < 1 else "far")
    )
    return (
        f"After {at + 1} steps two dreams of one moment differ {ratio.mean:.2f} times as much as two real futures "
        f"(95 % interval {ratio.low:.2f} to {ratio.high:.2f}): {judgement}. Their gradient energy is {sharp.mean:.2f} "
        "times the real one; averages of several futures would be blurred."
    )


def _picture(result: Chance) -> str:
    dream = [result.context[None], *(frame[None] for frame in result.dream_frames)]
    real = [result.context[None], *(frame[None] for frame in result.real_frames)]
    columns = ["given", *(f"{i + 1}" for i in range(len(dream) - 1))]
    strip = grid([real, dream], columns, ["real", "dream"], panel=112)[0]
    return film(
        None, encode_png(strip), f"The first moment, {result.shown_step} steps later, in each continuation."
    )


def _numbers(result: Chance) -> str:
    horizons = list(range(1, len(result.pixels.real) + 1))
    shown = sample_horizons(len(horizons))

    def cells(values: list[float], digits: int = 1) -> list[str]:
        return [_number(values[h - 1], digits) for h in shown]

    def ratios(spread: Spread) -> list[str]:
        return [_ratio(spread.ratio[h - 1]) for h in shown]

    rows = [
        ["dreams apart (grey levels)", *cells(result.pixels.dream)],
        ["real futures apart", *cells(result.pixels.real)],
        ["ratio", *ratios(result.pixels)],
        ["gradient energy, dream / real", *ratios(result.sharpness)],
    ]
    for item in result.objects:
        rows += [
            [f"{item.name}: dreams apart (pixels)", *cells(item.apart.dream)],
            [f"{item.name}: real futures apart", *cells(item.apart.real)],
            [f"{item.name}: ratio", *ratios(item.apart)],
            [f"{item.name}: places differ (%)", *cells(item.cells)],
            [f"{item.name}: real places differ (%)", *cells(item.cells_floor)],
        ]
    rows.append(["not ended, dream (%)", *cells([100 * dream for dream, _ in result.alive], 0)])
    rows.append(["not ended, real (%)", *cells([100 * real for _, real in result.alive], 0)])
    note = (
        "Ratios with 95 % intervals over episodes. Objects are found by their colours: how far the centres of one "
        f"object lie from their mean, and how the distributions over {CELLS} by {CELLS} cells of the picture differ, "
        "dreams from half of the real futures, and that half from the other. Futures count up to their ends."
    )
    lines = [
        Line("real", horizons, result.pixels.real, plots.GREY),
        Line("dream", horizons, result.pixels.dream, plots.ORANGE),
    ]
    plot = line_plot("chance", lines, "steps", "two futures apart (grey levels)")
    return drawing(plot, "Mean distance of two futures of one moment.") + table(
        ["at step", *map(str, shown)], rows, note
    )


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else decimal(value, digits)


def _ratio(interval: Interval) -> str:
    return "-" if math.isnan(interval.mean) else between(interval, ".2f")
