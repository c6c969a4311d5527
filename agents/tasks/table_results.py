"""What the finished stages of a table have come to, as plain JSON."""

# S runs (seeds) of an agent, N episodes

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worldmodel.agents.tasks.score import interquartile_mean, iqm, iqm_over_runs
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.evaluation.statistics import Interval
from worldmodel.files import read_json
from worldmodel.stages import MARKERS, seconds_of
from worldmodel.training.budget import read_budget

ROW_NAMES = {
    "random": "(a) random",
    "dream": "(b) trained in the dream alone",
    "sb3": "(c) PPO from pixels in reality",
    "real": "our PPO from pixels in reality",
    "expert": "(d) expert",
    "planner": "(e) planner in the dream",
}
GOAL = 0.8  # of the way from random to the expert, whose reaching is timed
Scale = tuple[float, float]


def read_task(run: Path) -> dict[str, Any]:
    """Of the task in the folder `run`: what every finished row earned, how it compares, what it took."""
    settings = read_json(run / "task.json")
    scores = {row: _scores(run, row) for row in ROW_NAMES}
    scores = {row: found for row, found in scores.items() if found}
    scale = _scale(scores)
    world = _world_cost(run, settings)
    return {
        "task": run.name,
        "env": settings["env"],
        "frames": settings["frames"],
        "ceiling": settings["ceiling"],
        "scale": scale,
        "world": world,
        "rows": {row: _row(row, found, scale, world) for row, found in scores.items()},
        "curves": {row: _curves(run, row, scale, world) for row in scores if row in ("dream", "sb3", "real")},
    }


def over_tasks(tasks: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Row -> interquartile mean of its runs' normalised scores over all tasks that have it, drawn within tasks; no
    interval where every task has a single run, of which nothing can be drawn."""
    found: dict[str, dict[str, Any]] = {}
    for row in ROW_NAMES:
        scored = [t["rows"][row] for t in tasks if row in t["rows"] and t["rows"][row]["normalised"]]
        strata = [np.array(entry["normalised"]["of_runs"]) for entry in scored]
        if strata:
            found[row] = {"tasks": len(strata), **_plain(iqm(strata, seed=0))}
            if max(map(len, strata)) == 1:
                found[row]["interval"] = None
    return found


def _scores(run: Path, row: str) -> list[dict[str, Any]]:
    """score.json of the finished runs of a row, with what else their folders tell."""
    found = []
    for marker in sorted((run / MARKERS).glob(f"{row}*.json")):
        name = marker.stem
        if name != row and not name.removeprefix(f"{row}-").isdigit():
            continue
        score = read_json(run / name / "score.json")
        curve = run / name / "learning_curve.json"
        outside = read_json(curve).get("outside") if curve.exists() else None
        found.append({**score, "outside": outside, "stage_seconds": seconds_of(run, name)})
    return found


def _scale(scores: Mapping[str, Sequence[Mapping[str, Any]]]) -> Scale | None:
    """Returns of random actions and of the expert; None where one is missing or they are no way apart."""
    if not {"random", "expert"} <= set(scores):
        return None
    low, high = (
        float(interquartile_mean(np.array(scores[row][0]["agent"]["returns"])))
        for row in ("random", "expert")
    )
    return (low, high) if high > low else None


def _row(
    row: str, scores: Sequence[Mapping[str, Any]], scale: Scale | None, world: Mapping[str, Any] | None
) -> dict[str, Any]:
    returns = [np.array(score["agent"]["returns"], np.float64) for score in scores]
    ended = [share for score in scores for share in [score["agent"]["terminated_share"]]]
    return {
        "name": ROW_NAMES[row],
        "runs": len(returns),
        "episodes": len(returns[0]),
        "return": {
            **_statistics(returns),
            "mean": float(np.mean(np.concatenate(returns))),
            "of_runs": [float(run.mean()) for run in returns],
        },
        "normalised": _normalised(returns, scale),
        "terminated_share": float(np.mean(ended)),
        "gaps": [score["gap"] for score in scores],
        "real_frames": _real_frames(row, scores, world),
        "seconds": _seconds(row, scores, world),
        "outside": [score["outside"] for score in scores],
        "cost": scores[0].get("cost"),
    }


def _normalised(returns: Sequence[NDArray[np.float64]], scale: Scale | None) -> dict[str, Any] | None:
    if scale is None:
        return None
    shares = [(run - scale[0]) / (scale[1] - scale[0]) for run in returns]
    return {**_statistics(shares), "of_runs": [float(run.mean()) for run in shares]}


def _statistics(runs: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
    """interval: drawn within each run's episodes; interval_over_runs: see iqm_over_runs, None for a single one."""
    runs_alone = iqm_over_runs(runs) if len(runs) > 1 else None
    over = None if runs_alone is None else [runs_alone.low, runs_alone.high]
    return {**_plain(iqm(runs, seed=0)), "interval_over_runs": over}


def _plain(interval: Interval) -> dict[str, Any]:
    return {"iqm": interval.mean, "interval": [interval.low, interval.high]}


def _real_frames(
    row: str, scores: Sequence[Mapping[str, Any]], world: Mapping[str, Any] | None
) -> int | None:
    """Real frames that it, or the world that it dreams in, has learned from; the most of its runs."""
    if row == "random":
        return 0
    own = [int(score.get("trained", {}).get("real_frames", 0)) for score in scores]
    if row == "expert":
        return int(scores[0]["trained"].get("all_frames", own[0]))
    if row in ("dream", "planner"):
        return None if world is None else int(world["real_frames"]) + max(own)
    return max(own)


def _seconds(row: str, scores: Sequence[Mapping[str, Any]], world: Mapping[str, Any] | None) -> float | None:
    """Of learning, from the first real frame on: mean of the runs."""
    if row == "random":
        return 0.0
    if row == "planner":
        return None if world is None else float(world["seconds"])
    key = "all_seconds" if row == "expert" and "all_seconds" in scores[0]["trained"] else "seconds"
    own = float(np.mean([score["trained"][key] for score in scores]))
    if row == "dream":
        return None if world is None else own + float(world["seconds"])
    return own


def _world_cost(run: Path, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Real frames and seconds of collecting, training and calibrating; None while that is not finished."""
    done = run / MARKERS
    if (done / "world.json").exists():
        loop = read_json(run / "loop" / "loop.json")
        seconds = sum(read_json(path)["seconds"] for path in (run / "loop" / MARKERS).glob("*.json"))
        return {"real_frames": loop["cycles"][-1]["real_frames"], "seconds": seconds, "parts": None}
    if not (done / "calibrate.json").exists():
        return None
    calls = read_budget(run / "world")
    parts = {name: seconds_of(run, name) for name in ("collect", "train", "calibrate")}
    if calls:  # also what calls took that were stopped
        parts["train"] = max(parts["train"], 60 * sum(call.minutes for call in calls))
    frames = EpisodeDataset(run / "data", verify=False).transitions
    return {"real_frames": frames, "seconds": sum(parts.values()), "parts": parts}


def _curves(
    run: Path, row: str, scale: Scale | None, world: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """Of every run: mean returns of the policies kept on the way, and when they first came GOAL of the way."""
    found = []
    for path in sorted(run.glob(f"{row}-*/curve.json")):
        rows = read_json(path)["rows"]
        before = float(world["seconds"]) if row == "dream" and world is not None else 0.0
        points = [
            {
                "frames": point["frames"],
                "real_frames": _seen(row, point["frames"], world),
                "seconds": before + point["seconds"],
                "mean": float(np.mean(point["returns"])),
            }
            for point in rows
        ]
        found.append({"run": path.parent.name, "points": points, "reached": _reached(points, scale)})
    return found


def _seen(row: str, frames: int, world: Mapping[str, Any] | None) -> int | None:
    if row != "dream":
        return frames
    return None if world is None else int(world["real_frames"])


def _reached(points: Sequence[Mapping[str, Any]], scale: Scale | None) -> dict[str, Any] | None:
    """The first point at GOAL of the way; None where there is none."""
    if scale is None:
        return None
    wanted = scale[0] + GOAL * (scale[1] - scale[0])
    hit = next((point for point in points if point["mean"] >= wanted), None)
    return None if hit is None else {"real_frames": hit["real_frames"], "seconds": hit["seconds"]}
