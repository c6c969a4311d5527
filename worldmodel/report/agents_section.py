"""What agents learned in the dream is worth in reality."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from worldmodel.report import plots
from worldmodel.report.agents import AgentResult
from worldmodel.report.markup import drawing, paragraph, table
from worldmodel.report.page import Section
from worldmodel.report.plots import Bar, Line, bar_plot, line_plot
from worldmodel.report.wording import decimal

COLOURS = {"dream": plots.ORANGE, "real": plots.BLUE, None: plots.GREY}  # by where an agent learned
LINES = (plots.ORANGE, plots.PURPLE, plots.GREEN, plots.BLUE, plots.GREY)
_SMOOTHING = 0.1  # share of a learning curve that one shown point averages over


def learning_section(agents: Sequence[AgentResult]) -> Section | None:
    """Learning curves inside the dream; None when no agent learned there."""
    learners = [agent for agent in agents if agent.imagined and agent.curve]
    if not learners:
        return None
    lines = [
        Line(agent.name, *smoothed(agent.curve), colour)
        for agent, colour in zip(learners, LINES * len(learners), strict=False)
    ]
    plot = line_plot("learning", lines, "imagined frames", "imagined reward per step")
    caption = "Mean imagined reward per step while learning inside the dream; no real frame is seen here."
    return Section(
        "Learning inside the dream",
        paragraph(*(_progress(agent) for agent in learners)) + drawing(plot, caption),
    )


def returns_section(agents: Sequence[AgentResult]) -> Section | None:
    """Real returns with intervals; None without agents."""
    if not agents:
        return None
    bars = [Bar(agent.name, agent.mean, *agent.interval, COLOURS[agent.world]) for agent in agents]
    rows = [_row(agent) for agent in agents]
    header = ["agent", "mean return", "95 % interval", "ended by itself", "learned from"]
    episodes = " and ".join(sorted({str(len(agent.returns)) for agent in agents}))
    caption = (
        f"{episodes} episodes each, from the same first states. Return: sum of the real environment's rewards. Ended "
        "by itself: before the time limit, which is success or failure as the environment defines it."
    )
    content = (
        paragraph(*compare(agents), *(_gap(agent) for agent in agents))
        + drawing(bar_plot("returns", bars, "return in the real environment"), "Whiskers: 95 % intervals.")
        + table(header, rows, caption)
    )
    return Section("What it is worth in reality", content)


def compare(agents: Sequence[AgentResult]) -> list[str]:
    """One sentence for each agent that learned in a dream against each that did not, random actions first."""
    others = sorted(
        (agent for agent in agents if not agent.imagined), key=lambda agent: agent.world is not None
    )
    return [_against(dreamer, other) for dreamer in agents if dreamer.imagined for other in others]


def _against(dreamer: AgentResult, other: AgentResult) -> str:
    who, whom = dreamer.name.capitalize(), other.name if other.world is None else f"the {other.name}"
    numbers = f"{dreamer.mean:.1f} against {other.mean:.1f}"
    if dreamer.interval[0] > other.interval[1]:
        return f"{who}: better in reality than {whom} ({numbers}, disjoint 95 % intervals)."
    if dreamer.interval[1] < other.interval[0]:
        return f"{who}: worse in reality than {whom} ({numbers}, disjoint 95 % intervals)."
    return f"{who}: not to be told apart in reality from {whom} ({numbers}, the 95 % intervals overlap)."


def smoothed(curve: Sequence[dict[str, float]]) -> tuple[list[float], list[float]]:
    """Frames, and the mean reward per step over a small share of the curve up to there."""
    frames = np.array([row["frames"] for row in curve])
    total = np.cumsum(np.diff(frames, prepend=0.0) * [row["reward"] for row in curve])
    before = np.maximum(np.arange(len(curve)) - max(1, round(_SMOOTHING * len(curve))), -1)
    earlier = np.where(before < 0, 0.0, total[before])
    counted = frames - np.where(before < 0, 0.0, frames[before])
    return frames.tolist(), ((total - earlier) / counted).tolist()


def _progress(agent: AgentResult) -> str:
    frames, means = smoothed(agent.curve)
    begin = min(len(means), max(1, round(_SMOOTHING * len(means)))) - 1
    return (
        f"{agent.name.capitalize()}: the imagined reward per step went from {means[begin]:.2f} to {means[-1]:.2f} "
        f"over {frames[-1]:,.0f} imagined frames."
    )


def _gap(agent: AgentResult) -> str:
    if agent.gap is None:
        return ""
    low, high = agent.gap.interval
    if low > 0:
        promise = "dreams promise it more than reality pays"
    elif high < 0:
        promise = "dreams promise it less than reality pays"
    else:
        promise = "on average dreams promise it what reality pays"
    return (
        f"{agent.name.capitalize()}: {promise} ({agent.gap.dream:.1f} dreamt, {agent.gap.real:.1f} real, from the same "
        f"{agent.gap.pairs} starts; 95 % interval of the difference {low:+.1f} to {high:+.1f})."
    )


def _row(agent: AgentResult) -> list[str]:
    interval = " to ".join(decimal(bound, 2) for bound in agent.interval)
    return [agent.name, decimal(agent.mean, 2), interval, f"{agent.terminated_share:.0%}", _source(agent)]


def _source(agent: AgentResult) -> str:
    if agent.world is None:
        return "nothing"
    kind = "imagined" if agent.imagined else "real"
    return f"{agent.frames:,} {kind} frames in {agent.seconds:.0f} s"
