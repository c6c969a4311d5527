"""Histograms of a dataset as one picture."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.inspection import BINS, ActionCoverage, Distribution, Inspection
from worldmodel.report.plots import BLUE, GREEN, ORANGE, PURPLE

_MOST_ACTIONS = 12  # panels


def histograms(dataset: EpisodeDataset, found: Inspection) -> bytes:
    """PNG: lengths, returns, rewards, and each number or choice of the action; and the first two of them together."""
    actions = found.actions[:_MOST_ACTIONS]
    pair = [place for place, action in enumerate(actions) if action.kind == "continuous"][:2]
    panels = 3 + len(actions) + (len(pair) == 2)
    columns = min(3, panels)
    rows = -(-panels // columns)
    figure = Figure(figsize=(4 * columns, 2.6 * rows), layout="constrained")
    axes = iter(figure.subplots(rows, columns, squeeze=False).ravel())
    _histogram(next(axes), found.lengths, "steps of an episode", BLUE)
    _histogram(next(axes), found.returns, "return of an episode", GREEN)
    _histogram(next(axes), found.rewards, "reward of a step", ORANGE, logarithmic=True)
    for place, action in enumerate(actions):
        _action(next(axes), action, f"action {place}")
    if len(pair) == 2:
        _together(next(axes), dataset, *pair)
    for unused in axes:
        unused.set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _histogram(axes: Axes, values: Distribution, label: str, colour: str, logarithmic: bool = False) -> None:
    axes.stairs(values.counts, values.edges, fill=True, color=colour)
    axes.set(xlabel=label, yscale="log" if logarithmic else "linear")


def _action(axes: Axes, action: ActionCoverage, label: str) -> None:
    if action.edges is not None:
        axes.stairs(action.counts, action.edges, fill=True, color=PURPLE)
    else:
        axes.bar(range(len(action.counts)), action.counts, color=PURPLE)
    axes.set(xlabel=label)


def _together(axes: Axes, dataset: EpisodeDataset, first: int, second: int) -> None:
    """The first two continuous numbers: where one is never used with some value of the other."""
    boxes = np.flatnonzero(dataset.codec.layout.boxes)
    encoded = dataset.codec.encode(dataset.actions)
    counts, x, y = np.histogram2d(encoded[:, boxes[0]], encoded[:, boxes[1]], BINS)
    axes.pcolormesh(x, y, counts.T + 1, cmap="magma", norm=LogNorm())
    axes.set(xlabel=f"action {first}", ylabel=f"action {second}")
