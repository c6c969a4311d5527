"""table.json and table.html of all tasks in a folder that have finished rows."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from worldmodel.agents.tasks.table_results import GOAL, ROW_NAMES, over_tasks, read_task
from worldmodel.files import atomic_write_text, write_json
from worldmodel.machine import this_machine
from worldmodel.report import plots
from worldmodel.report.page import Card, Section, drawing, page, paragraph, table
from worldmodel.report.plots import Bar, Line, bar_plot, line_plot

COLOURS = {
    "random": plots.GREY,
    "dream": plots.ORANGE,
    "sb3": plots.BLUE,
    "real": plots.PURPLE,
    "expert": plots.GREEN,
    "planner": plots.PURPLE,
}
EXPLANATION = (
    "Scores are interquartile means over all episodes of all runs (Agarwal et al., 2021), normalised so that random "
    "actions are 0 and the expert is 1. Intervals are 95 % percentile bootstrap intervals, drawn within each run's "
    "episodes; the wider ones in brackets, about runs with other seeds, are those of Student's t over the runs' own "
    "interquartile means."
)


def write_table(out: Path) -> None:
    """Write both into `out`."""
    tasks = [read_task(path.parent) for path in sorted(out.glob("*/task.json"))]
    together = over_tasks(tasks)
    machine = this_machine().summary()
    written = datetime.now(UTC).isoformat(timespec="seconds")
    content = {"format": "worldmodel-agent-table", "version": 1, "machine": machine, "written": written}
    write_json(out / "table.json", {**content, "goal": GOAL, "tasks": tasks, "over_tasks": together})
    sections = [Section("All tasks", _overview(tasks, together)), *(_task(task) for task in tasks)]
    lead = paragraph(
        "What agents that learned inside a world model's dream alone are worth in the real environment, beside the "
        "same number of real frames spent otherwise.",
        EXPLANATION,
    )
    foot = paragraph(f"Made on {machine}, {written[:10]}. All figures are in table.json.", soft=True)
    cards = _cards(tasks, together)
    atomic_write_text(
        out / "table.html", page("Agents in dreams and in reality", lead, cards, sections, foot)
    )


def _cards(tasks: Sequence[Mapping[str, Any]], together: Mapping[str, Any]) -> list[Card]:
    cards = []
    if "dream" in together:
        entry = together["dream"]
        meaning = f"normalised score of agents trained in dreams alone, over {entry['tasks']} tasks"
        cards.append(Card(f"{entry['iqm']:.2f}", meaning))
    both = [t["rows"] for t in tasks if {"dream", "sb3"} <= set(t["rows"])]
    if both:
        ahead = sum(r["dream"]["return"]["interval"][0] > r["sb3"]["return"]["interval"][1] for r in both)
        cards.append(
            Card(
                f"{ahead} of {len(both)}", "tasks on which they are above PPO from pixels, intervals disjoint"
            )
        )
    scored = [t["rows"]["dream"]["normalised"] for t in tasks if "dream" in t["rows"]]
    if any(scored):
        high = sum(entry is not None and entry["iqm"] >= 0.9 for entry in scored)
        cards.append(Card(f"{high} of {len(scored)}", "tasks on which they reach 0.9 of the expert"))
    return cards


def _overview(tasks: Sequence[Mapping[str, Any]], together: Mapping[str, Any]) -> str:
    rows = [row for row in ROW_NAMES if any(row in task["rows"] for task in tasks)]
    header = ["task, real frames", *(ROW_NAMES[row] for row in rows)]
    lines = [
        [
            f"{task['task']}, {task['frames']:,}",
            *(_aggregate((task["rows"].get(row) or {}).get("normalised")) for row in rows),
        ]
        for task in tasks
    ]
    if len(tasks) > 1:
        lines.append(["all", *(_aggregate(together.get(row)) for row in rows)])
    return table(header, lines, "Normalised scores.") + _times(tasks)


def _times(tasks: Sequence[Mapping[str, Any]]) -> str:
    header = ["task", "row", "runs that reach it", "minutes", "real frames"]
    lines = []
    for task in tasks:
        for row, curves in task["curves"].items():
            hits = [curve["reached"] for curve in curves if curve["reached"] is not None]
            if curves and task["scale"]:
                minutes = f"{statistics.median(hit['seconds'] for hit in hits) / 60:.1f}" if hits else "-"
                frames = f"{statistics.median(hit['real_frames'] for hit in hits):,.0f}" if hits else "-"
                reached = f"{len(hits)} of {len(curves)}"
                lines.append([task["task"], ROW_NAMES[row], reached, minutes, frames])
    caption = (
        f"When a normalised score of {GOAL} is first reached by policies kept on the way, played on a few episodes: "
        "medians of the runs that reach it. Dreams: collecting, training and calibrating the world included."
    )
    return table(header, lines, caption) if lines else ""


def _task(task: Mapping[str, Any]) -> Section:
    header = [
        "",
        "return",
        "mean",
        "normalised",
        "runs",
        "dream minus real",
        "real frames",
        "minutes",
        "outside",
    ]
    lines = [_line(entry) for entry in task["rows"].values()]
    caption = (
        "Return: interquartile mean. Dream minus real: return from the same starts, mean of the runs. Minutes of "
        "learning on this machine, the world's included. Outside: share of the learning time outside the world model, "
        "or the environments."
    )
    sees = "the simulator's state" if task["ceiling"] == "state" else "pixels"
    about = paragraph(f"{task['env']['id']}, {task['frames']:,} real frames. The expert learned from {sees}.")
    return Section(task["task"], about + table(header, lines, caption) + _bars(task) + _plot(task))


def _line(entry: Mapping[str, Any]) -> list[str]:
    gaps = [gap["difference"] for gap in entry["gaps"] if gap is not None]
    outside = [share for share in entry["outside"] if share is not None]
    episodes = f"{entry['runs']} x {entry['episodes']}"
    returns = entry["return"]
    return [
        entry["name"],
        f"{returns['iqm']:.1f} {_bounds(returns['interval'], 1)}",
        f"{returns['mean']:.1f}",
        _share(entry),
        episodes,
        f"{statistics.mean(gaps):+.1f}" if gaps else "-",
        "-" if entry["real_frames"] is None else f"{entry['real_frames']:,}",
        "-" if entry["seconds"] is None else f"{entry['seconds'] / 60:.1f}",
        f"{statistics.mean(outside):.0%}" if outside else "-",
    ]


def _share(entry: Mapping[str, Any] | None) -> str:
    if entry is None or entry["normalised"] is None:
        return "-"
    found = entry["normalised"]
    wide = "" if found["interval_over_runs"] is None else f" [{_bounds(found['interval_over_runs'], 2)}]"
    return f"{found['iqm']:.2f} {_bounds(found['interval'], 2)}{wide}"


def _aggregate(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "-"
    return f"{entry['iqm']:.2f}" + ("" if entry["interval"] is None else f" {_bounds(entry['interval'], 2)}")


def _bounds(interval: Sequence[float], digits: int) -> str:
    return f"({interval[0]:.{digits}f} to {interval[1]:.{digits}f})"


def _bars(task: Mapping[str, Any]) -> str:
    key = "normalised" if task["scale"] else "return"
    bars = []
    for row, entry in task["rows"].items():
        low, high = entry[key]["interval"]
        bars.append(Bar(entry["name"], entry[key]["iqm"], low, high, COLOURS[row]))
    label = "normalised score" if task["scale"] else "return"
    return drawing(
        bar_plot(f"bars-{escape(task['task'])}", bars, label), "Interquartile means, 95 % intervals."
    )


def _plot(task: Mapping[str, Any]) -> str:
    lines = []
    for row, curves in task["curves"].items():
        for number, curve in enumerate(curves):
            minutes = [point["seconds"] / 60 for point in curve["points"]]
            means = [point["mean"] for point in curve["points"]]
            name = ROW_NAMES[row] if number == 0 else f"_{row}{number}"  # one name for all of its runs
            lines.append(Line(name, minutes, means, COLOURS[row]))
    if not lines:
        return ""
    if task["scale"]:
        span = [0.0, max(max(line.x, default=0.0) for line in lines)]
        lines += [
            Line(ROW_NAMES[row], span, [value, value], COLOURS[row], "--")
            for row, value in zip(("random", "expert"), task["scale"], strict=True)
        ]
    svg = line_plot(f"curves-{escape(task['task'])}", lines, "minutes, the world's included", "real return")
    return drawing(
        svg, "Mean real returns of policies kept while they learned, on a few episodes; a line a run."
    )
