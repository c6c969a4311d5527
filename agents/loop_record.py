"""What a loop has come to: one line for each cycle, as JSON and as a curve over real frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from worldmodel.agents.curve_picture import write_png
from worldmodel.files import write_json
from worldmodel.real_env import EnvConfig
from worldmodel.report.plots import BLUE, GREEN, GREY, ORANGE

CURRENCY = (
    "real frames: steps of the real environment, of collecting and of exploit checks; one step shows several raw "
    "frames where the environment repeats actions (four in Atari games as in Atari-100k). Scoring is not counted, and "
    "stated beside."
)


@dataclass(frozen=True)
class Cycle:
    """One cycle, the first is number 1. real_frames: used so far; collected: of them in this cycle, in so many
    episodes, whose mean return was collected_return; checked: real frames of its exploit checks; scored: real frames
    of scoring; imagined: frames the agent learned from in dreams; outside: see share_outside; stopped: by an exploit
    check; agent, random, gap: as in score.json."""

    number: int
    real_frames: int
    collected: int
    episodes: int
    collected_return: float
    checked: int
    scored: int
    imagined: int
    outside: float | None
    stopped: bool
    agent: Mapping[str, Any]
    random: Mapping[str, Any]
    gap: Mapping[str, Any] | None


def record(run: Path, cycles: Sequence[Cycle], real_frames: int, env: EnvConfig) -> None:
    """Write loop.json and curve.png into `run`."""
    _draw(run / "curve.png", cycles)
    content = {
        "format": "worldmodel-agent-loop",
        "version": 1,
        "env": env.to_json(),
        "currency": CURRENCY,
        "real_frames": real_frames,
        "cycles": [asdict(cycle) for cycle in cycles],
    }
    write_json(run / "loop.json", content)


def _draw(path: Path, cycles: Sequence[Cycle]) -> None:
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    frames = [cycle.real_frames for cycle in cycles]
    low, high = ([cycle.agent["interval"][side] for cycle in cycles] for side in (0, 1))
    axes.plot(
        frames,
        [cycle.agent["mean"] for cycle in cycles],
        "o-",
        color=ORANGE,
        label="agent, likeliest actions",
    )
    axes.fill_between(frames, low, high, color=ORANGE, alpha=0.2, linewidth=0)
    axes.plot(
        frames, [cycle.agent["iqm"] for cycle in cycles], "--", color=ORANGE, label="its interquartile mean"
    )
    axes.plot(
        frames, [cycle.collected_return for cycle in cycles], "s:", color=BLUE, label="while collecting"
    )
    dreamt = [(cycle.real_frames, cycle.gap["dream"]) for cycle in cycles if cycle.gap is not None]
    if dreamt:
        axes.plot(*zip(*dreamt, strict=True), "x", color=GREEN, label="in dreams, after the context")
    axes.axhline(cycles[-1].random["mean"], color=GREY, linestyle="--", label="random actions")
    axes.set(xlabel="real frames", ylabel="return")
    axes.set_xlim(left=0)
    axes.grid(color=GREY, alpha=0.25)
    axes.legend(frameon=False)
    write_png(path, figure)
