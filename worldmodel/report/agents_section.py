"""What agents learned in the dream is worth in reality."""

from __future__ import annotations

from collections.abc import Sequence

from worldmodel.report import plots
from worldmodel.report.agents import AgentResult
from worldmodel.report.markup import drawing, paragraph, table
from worldmodel.report.page import Section
from worldmodel.report.plots import Bar, Line, bar_plot, line_plot
from worldmodel.report.wording import decimal

COLOURS = (plots.ORANGE, plots.BLUE, plots.GREY, plots.GREEN, plots.PURPLE)
_SMOOTHING = 0.05  # share of a learning curve that one shown point averages over


def learning_section(agents: Sequence[AgentResult]) -> Section | None:
    """Learning curves inside the dream; None when no agent learned there."""
    learners = [agent for agent in agents if agent.imagined and agent.curve]
    if not learners:
        return None
    lines = [
        Line(agent.name, *smoothed(agent.curve, "frames", "reward"), colour)
        for agent, colour in zip(learners, COLOURS, strict=False)
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
    bars = [
        Bar(agent.name, agent.mean, *agent.interval, colour)
        for agent, colour in zip(agents, COLOURS * len(agents), strict=False)
    ]
    rows = [
        [
            agent.name,
            decimal(agent.mean, 2),
            " to ".join(decimal(x, 2) for x in agent.interval),
            *_details(agent),
        ]
        for agent in agents
    ]
    header = ["agent", "mean return", "95 % interval", "episodes", "frames it learned from"]
    caption = (
        "Return: sum of the real environment's rewards over an episode, on the same first states for all."
    )
    content = (
        paragraph(*compare(agents))
        + drawing(bar_plot("returns", bars, "return in the real environment"), "Whiskers: 95 % intervals.")
        + table(header, rows, caption)
    )
    return Section("What it is worth in reality", content)


def compare(agents: Sequence[AgentResult]) -> list[str]:
    """One sentence for each agent that learned in a dream against each that did not."""
    return [
        _against(dreamer, other)
        for dreamer in agents
        if dreamer.imagined
        for other in agents
        if not other.imagined
    ]


def _against(dreamer: AgentResult, other: AgentResult) -> str:
    numbers = f"{dreamer.mean:.1f} against {other.mean:.1f}"
    if dreamer.interval[0] > other.interval[1]:
        return (
            f"In reality, {dreamer.name} is better than {other.name} ({numbers}; the intervals are disjoint)."
        )
    if dreamer.interval[1] < other.interval[0]:
        return (
            f"In reality, {dreamer.name} is worse than {other.name} ({numbers}; the intervals are disjoint)."
        )
    return f"{dreamer.name.capitalize()} and {other.name} cannot be told apart ({numbers}; the intervals overlap)."


def smoothed(curve: Sequence[dict[str, float]], x: str, y: str) -> tuple[list[float], list[float]]:
    """Trailing means of a learning curve over a small share of it."""
    width = max(1, round(_SMOOTHING * len(curve)))
    values = [row[y] for row in curve]
    means = [
        sum(part) / len(part)
        for end in range(1, len(values) + 1)
        if (part := values[max(0, end - width) : end])
    ]
    return [row[x] for row in curve], means


def _progress(agent: AgentResult) -> str:
    frames, means = smoothed(agent.curve, "frames", "reward")
    begin = min(len(means), max(1, round(_SMOOTHING * len(means)))) - 1
    return (
        f"{agent.name.capitalize()}: the imagined reward per step went from {means[begin]:.2f} to {means[-1]:.2f} "
        f"over {frames[-1]:,.0f} imagined frames."
    )


def _details(agent: AgentResult) -> list[str]:
    frames = agent.score.get("frames")
    where = "imagined" if agent.imagined else "real"
    return [str(len(agent.returns)), f"{frames:,} {where}" if frames else "none"]
