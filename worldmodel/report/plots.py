"""Plots as inline SVG that takes its text colour from the page, so that it reads on light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Read well on white and on near-black, and apart without colour vision (after Okabe and Ito, 2008).
BLUE, ORANGE, GREEN, PURPLE, GREY = "#3a86d8", "#e07b2e", "#1f9e77", "#b05fa8", "#8b929c"
_INK = "#010203"  # stands for the page's own text colour
_INKED = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
_INSIDE = 3  # named lines that a plot's own area has room for
_WIDTH, _HEIGHT = 5.0, 3.0  # inches: a phone is as wide, so 10 point text stays readable there


@dataclass(frozen=True)
class Line:
    """A named line; low and high bound a band around it."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    style: str = "-"
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


@dataclass(frozen=True)
class Bar:
    """A named value with its interval."""

    name: str
    value: float
    low: float
    high: float
    colour: str


@dataclass(frozen=True)
class Points:
    """A named group of points."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str


def line_plot(name: str, lines: Sequence[Line], x_label: str, y_label: str, whole: bool = True) -> str:
    """SVG of lines over x. name: unique on the page; whole: x counts something."""
    below = len(lines) > _INSIDE  # a legend of so many would cover the lines
    with _figure(name, _HEIGHT + 0.16 * len(lines) * below) as (figure, axes):
        for line in lines:
            axes.plot(line.x, line.y, line.style, color=line.colour, label=line.name, linewidth=2)
            if line.low is not None and line.high is not None:
                axes.fill_between(line.x, line.low, line.high, color=line.colour, alpha=0.2, linewidth=0)
        axes.set(xlabel=x_label, ylabel=y_label)
        if whole:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(x=0.02)
        axes.grid(color=GREY, alpha=0.25)
        if below:
            figure.legend(frameon=False, labelcolor=_INK, loc="outside lower center", ncols=2, fontsize=8)
        elif len(lines) > 1:
            axes.legend(frameon=False, labelcolor=_INK)
        return _svg(figure, name)


def scatter_plot(name: str, groups: Sequence[Points], x_label: str, y_label: str) -> str:
    """SVG of points, with a dashed line where both sides are equal. name: unique on the page."""
    with _figure(name, _HEIGHT * 1.2) as (figure, axes):
        ends = [value for group in groups for value in (*group.x, *group.y)]
        axes.axline((min(ends), min(ends)), slope=1, color=GREY, linestyle="--", linewidth=1)
        for group in groups:
            axes.scatter(group.x, group.y, color=group.colour, label=group.name, s=28, alpha=0.85)
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.grid(color=GREY, alpha=0.25)
        axes.legend(frameon=False, labelcolor=_INK)
        return _svg(figure, name)


def bar_plot(name: str, bars: Sequence[Bar], x_label: str) -> str:
    """SVG of horizontal bars with whiskers, the first on top."""
    with _figure(name, 0.9 + 0.55 * len(bars)) as (figure, axes):
        for place, bar in enumerate(reversed(bars)):
            whisker = [[bar.value - bar.low], [bar.high - bar.value]]
            axes.barh(place, bar.value, height=0.55, color=bar.colour, alpha=0.85)
            axes.errorbar(bar.value, place, xerr=whisker, color=_INK, capsize=5, linewidth=1.5)
        axes.set_yticks(range(len(bars)), [bar.name for bar in reversed(bars)])
        axes.axvline(0, color=_INK, linewidth=1)
        axes.set(xlabel=x_label)
        axes.grid(axis="x", color=GREY, alpha=0.25)
        return _svg(figure, name)


@contextmanager
def _figure(name: str, height: float) -> Iterator[tuple[Figure, Axes]]:
    style: dict[Any, Any] = dict.fromkeys(_INKED, _INK)
    style |= {"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 10, "font.family": "sans-serif"}
    style["text.parse_math"] = False  # names are text, whatever dollar signs are in them
    with matplotlib.rc_context({**style, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        yield figure, figure.subplots()


def _svg(figure: Figure, name: str) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Ids must be unique on a page that holds several of these.
    text = re.sub(r'(\bid="|"#|url\(#)', lambda match: f"{match[0]}{name}-", text)
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', 'role="img"', text, count=1)
