"""`worldmodel demo`: everything from the first rollout to the report, in stages that are never done twice."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worldmodel.arguments import checked_arguments, locate
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.files import exclusive_lock, read_json, remove_temporaries, write_json
from worldmodel.report.evaluate import summary
from worldmodel.run_settings import keep_settings

SETTINGS, STAGES = "demo.json", "stages"
REALITY = "reality"
Config = Mapping[str, Any]


@dataclass(frozen=True)
class Stage:
    """One command of the demo: a name, the config of its function (with `_target_`), and what to expect, in words."""

    name: str
    config: Config
    about: str


def demo(
    out: str,
    collect: Config,
    train: Config,
    calibrate: Config,
    dream: Config,
    reality: Config,
    evaluate: Config,
) -> Path:
    """Run the stages whose results are not yet in the folder `out`; returns the path of the report.

    The others are configs of commands, dream and reality being agents: one learns in the dream, one in the real
    environment, where frames=None means as many as were collected. Killed at any moment, the same call goes on. Raises
    WorldModelError when `out` was started with other settings.
    """
    run, start = Path(out), time.monotonic()
    stages = [
        Stage("collect", collect, "play the real environment and record it"),
        Stage("train", train, "learn a world model from the recording"),
        Stage("calibrate", calibrate, "learn how far the dream can be trusted, from held-out episodes"),
        Stage("dream", dream, "an agent learns inside the dream alone, then plays in reality"),
        Stage(
            "reality", reality, "for comparison: one learns in reality, from as many frames as were recorded"
        ),
        Stage("evaluate", evaluate, "hold the dream against reality"),
    ]
    run.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(
        run / ".lock", f"Another process is running the demo in {run}: wait for it, or stop it."
    ):
        for folder in (run, run / STAGES):
            remove_temporaries(folder)
        keep_settings(run / SETTINGS, {stage.name: dict(stage.config) for stage in stages})
        for number, stage in enumerate(stages, start=1):
            _run_stage(run, stage, f"[{number}/{len(stages)}] {stage.name}", start)
    _say(f"the demo is complete after {duration(time.monotonic() - start)}")
    report = Path(evaluate["out"])
    print(summary(report))
    return report / "report.html"


def _run_stage(run: Path, stage: Stage, heading: str, demo_start: float) -> None:
    marker = run / STAGES / f"{stage.name}.json"
    if marker.exists():
        _say(f"{heading}: done before, in {duration(read_json(marker)['seconds'])}")
        return
    _say(f"{heading}: {stage.about}")
    start = time.monotonic()
    target = locate(stage.config["_target_"])
    target(**checked_arguments(target, _arguments(run, stage)))
    seconds = time.monotonic() - start
    write_json(marker, {"stage": stage.name, "seconds": seconds, "settings": stage.config})
    _say(f"{heading}: done in {duration(seconds)}, {duration(time.monotonic() - demo_start)} in all")


def _arguments(run: Path, stage: Stage) -> Config:
    """The stage's config; for the agent that learns in reality with as many frames as were collected."""
    if stage.name != REALITY or stage.config["frames"] is not None:
        return stage.config
    dataset = EpisodeDataset(read_json(run / SETTINGS)["collect"]["out"], verify=False)
    return {**stage.config, "frames": dataset.transitions}


def duration(seconds: float) -> str:
    """Minutes and seconds, as on a clock."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
