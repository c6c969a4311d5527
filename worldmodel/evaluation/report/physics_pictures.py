"""Plots and pictures of a physics report."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from markupsafe import Markup

from worldmodel.evaluation.metrics.trust import Spread, Warned
from worldmodel.evaluation.report.evaluation_pictures import beside_reality
from worldmodel.evaluation.report_data import Fan, Film, PhysicsReport, Strip
from worldmodel.evaluation.rows.closed_loop import ClosedLoop
from worldmodel.evaluation.rows.rows import COPY, NOISY, SHUFFLED, SIMULATOR
from worldmodel.evaluation.statistics import Interval
from worldmodel.frames import as_colours
from worldmodel.report import plots
from worldmodel.report.page import Footage
from worldmodel.report.panels import grid
from worldmodel.report.plots import Line, Points, line_plot, scatter_plot
from worldmodel.report.video import encode_png

MARK = np.array([255, 0, 255], np.uint8)
COLOURS = (plots.ORANGE, plots.PURPLE, plots.BLUE, plots.GREEN)
REFERENCES = {
    SIMULATOR: ("simulator through the probe (floor)", plots.BLUE, ":"),
    NOISY: (NOISY, plots.GREEN, "-."),
    SHUFFLED: (SHUFFLED, plots.GREY, ":"),
    COPY: (COPY, plots.GREY, "--"),
}
Curve = Sequence[Interval] | Sequence[float]


def row_plot(
    report: PhysicsReport, key: str, metric: str, curve: Callable[[str], Curve | None], y: str, start: int = 1
) -> Markup | None:
    """curve: of a row by step, from `start` on; None where no row has any, or the metric is untrusted."""
    models = {name: (name, COLOURS[i % 4], "-") for i, name in enumerate(report.models)}
    lines = []
    for row, look in {**models, **REFERENCES}.items():
        points = curve(row)
        if not points:
            continue
        steps = list(range(start, start + len(points)))
        if isinstance(points[0], Interval):
            means, low, high = (
                np.array([getattr(p, side) for p in points]) for side in ("mean", "low", "high")
            )
            band = (low, high) if row in models and np.isfinite([low, high]).all() else (None, None)
            lines.append(Line(look[0], steps, np.maximum(means, -1.5), *look[1:], *band))
        elif np.isfinite(points).any():  # type: ignore[arg-type]
            lines.append(Line(look[0], steps, points, *look[1:]))  # type: ignore[arg-type]
    if not lines or metric in report.untrusted:
        return None
    return Markup(line_plot(key, lines, "imagined steps", y))


def reliability_plot(report: PhysicsReport) -> Markup | None:
    """How far samples are from each other and from the truth."""
    spreads = {n: f.spread for n, f in report.findings.items() if isinstance(f.spread, Spread)}
    if not spreads or "M8" in report.untrusted:
        return None
    lines = [
        Line(name, *_columns(sorted(spread.bins)), colour, "o-")
        for (name, spread), colour in zip(spreads.items(), COLOURS * 9, strict=False)
        if spread.bins
    ]
    top = max((max(point) for spread in spreads.values() for point in spread.bins), default=0.0)
    lines.append(Line("equal", [0.0, top], [0.0, top], plots.GREY, "--"))
    x, y = "distance of two samples (sigmas)", "distance from the truth"
    return Markup(line_plot("reliability", lines, x, y, whole=False))


def risk_plot(report: PhysicsReport) -> Markup | None:
    """Mean error of the most certain steps."""
    lines = []
    for (name, found), colour in zip(report.findings.items(), COLOURS * 9, strict=False):
        if isinstance(found.warned, Warned):
            shares = [10.0 * (k + 1) for k in range(len(found.warned.risk))]
            lines.append(Line(name, shares, found.warned.risk, colour))
            lines.append(Line(f"{name}, errors known", shares, found.warned.best_risk, colour, ":"))
    if not lines or "M8" in report.untrusted:
        return None
    return Markup(line_plot("risk", lines, "most certain steps kept (%)", "their mean error"))


def returns_plot(key: str, loop: ClosedLoop, colour: str) -> Markup:
    """Real against dreamt mean returns of all policies."""
    groups = []
    for name, hue, optimised in (("policies", colour, False), ("improved in the dream", plots.GREEN, True)):
        chosen = [p for p in loop.policies if p.optimised == optimised]
        means = [(float(p.real.mean()), float(p.dream.mean())) for p in chosen]
        groups += [Points(name, *_columns(means), hue)] if chosen else []
    return Markup(scatter_plot(key, groups, "real return", "return in the dream"))


def fan_picture(fan: Fan) -> Footage:
    """Futures of one moment, a column for every action sequence."""
    rows = {"simulator": fan.simulator, **fan.models}
    videos = [[frame[None] for frame in frames] for frames in rows.values()]
    columns = ["none", "recorded", *(f"random {i + 1}" for i in range(len(fan.simulator) - 2))]
    caption = f"Eight futures of one moment after {fan.step} steps, real above dreamt."
    return Footage(None, encode_png(grid(videos, columns, list(rows), panel=96)[0]), caption)


def strip_picture(strip: Strip) -> Footage:
    """An object that goes out of sight and comes back."""
    rows = {"real": strip.real, **strip.models}
    marked = [
        [_marked(frame, place)[None] for frame, place in zip(frames, strip.places, strict=True)]
        for frames in rows.values()
    ]
    picture = grid(marked, [f"+{step}" for step in strip.steps], list(rows), panel=112)[0]
    caption = f"{strip.name}: the mark shows where it truly is, when it is to be seen."
    return Footage(None, encode_png(picture), caption)


def worst_film(shown: Film, untrusted: bool, fps: float) -> Footage:
    """Real, dream and difference of one of the worst cases."""
    error = f"nRMSE {shown.error:.2f}" if shown.measure == "nrmse" else f"PSNR {shown.error:.1f} dB"
    error = "nRMSE untrusted" if untrusted and shown.measure == "nrmse" else error
    caption = f"{shown.model}: moment {shown.context}, held-out episode {shown.episode}, {error}."
    return beside_reality(shown.real, shown.dream, 0, fps, caption)


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [first for first, _ in pairs], [second for _, second in pairs]


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
