"""Learning curves: what is written down while an agent learns, and as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from worldmodel.agents.learning.exploit import ExploitRow
from worldmodel.files import atomic_write_bytes
from worldmodel.report.plots import BLUE, GREEN, GREY, ORANGE

_SMOOTHING = 0.05  # share of the curve that one shown point averages over


@dataclass(frozen=True)
class Row:
    """One rollout and update, a point of the learning curve.

    frames: steps of all worlds so far; seconds so far; reward: mean per step as the world gave it, no penalty in it;
    terminations: share of steps that ended an episode; policy_loss, value_loss, entropy, kl: means over the update (see
    ppo_loss); uncertainty: mean expected error of the imagined frames in grey levels, None where it is not known;
    penalty: what was taken from the reward for each grey level of it; busy: seconds that the rollout and the update
    took, inside: how many of them were spent in the world model (or in the environments).
    """

    frames: int
    seconds: float
    reward: float
    terminations: float
    policy_loss: float
    value_loss: float
    entropy: float
    kl: float
    uncertainty: float | None = None
    penalty: float = 0.0
    busy: float = 0.0
    inside: float = 0.0


def share_outside(rows: Sequence[Row]) -> float | None:
    """Share of the learning time that was spent outside the world model (or the environments); None if not known."""
    busy = sum(row.busy for row in rows)
    return 1 - sum(row.inside for row in rows) / busy if busy else None


def draw_learning(path: Path, rows: Sequence[Row], checks: Sequence[ExploitRow]) -> None:
    """Reward per step over frames as PNG; below it the expected error where it is known, and the exploit check's dream
    and real returns where there was one."""
    frames = [row.frames for row in rows]
    errors = [np.nan if row.uncertainty is None else row.uncertainty for row in rows]
    compared = [row for row in checks if row.interval is not None]
    panels = 1 + bool(np.isfinite(errors).any()) + bool(compared)
    figure = Figure(figsize=(6.4, 2.6 * panels), layout="constrained")
    axes = list(np.atleast_1d(figure.subplots(panels, sharex=True)))
    _line(axes[0], frames, [row.reward for row in rows], ORANGE, "reward per step")
    if np.isfinite(errors).any():
        _line(axes[1], frames, errors, GREEN, "expected error\n[grey levels]")
    if compared:
        _draw_checks(axes[-1], compared)
    axes[-1].set_xlabel("frames")
    write_png(path, figure)


def write_png(path: Path, figure: Figure) -> None:
    """Write a figure, atomically."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    atomic_write_bytes(path, buffer.getvalue())


def _line(axes: Axes, x: Sequence[float], y: Sequence[float], colour: str, label: str) -> None:
    width = max(1, round(_SMOOTHING * len(y)))
    smooth = [np.nanmean(y[max(0, k + 1 - width) : k + 1]) for k in range(len(y))]
    axes.plot(x, y, color=colour, alpha=0.25, linewidth=1)
    axes.plot(x, smooth, color=colour, linewidth=2)
    axes.set_ylabel(label)
    axes.grid(color=GREY, alpha=0.25)


def _draw_checks(axes: Axes, checks: Sequence[ExploitRow]) -> None:
    frames = [row.frames for row in checks]
    axes.plot(frames, [row.dream for row in checks], "o-", color=ORANGE, label="dream")  # type: ignore[arg-type]
    axes.plot(frames, [row.real for row in checks], "o-", color=BLUE, label="real")  # type: ignore[arg-type]
    low, high = (
        [row.real + row.interval[side] for row in checks if row.real is not None and row.interval]
        for side in (0, 1)
    )
    axes.fill_between(frames, low, high, color=ORANGE, alpha=0.2, linewidth=0)
    for row in checks:
        if row.parted:
            axes.axvline(row.frames, color=GREY, linestyle=":")
    axes.set_ylabel("return after the context")
    axes.legend(frameon=False)
    axes.grid(color=GREY, alpha=0.25)
