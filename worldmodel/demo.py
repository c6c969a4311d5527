"""`worldmodel demo`: everything from the first rollout to the report, in stages that are never done twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.evaluation.report.evaluate import summary
from worldmodel.files import read_json
from worldmodel.run_settings import keep_settings
from worldmodel.stages import Config, Stage, claimed, run_stages

SETTINGS = "demo.json"


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
    run = Path(out)

    def as_many_as_collected() -> dict[str, Any]:
        """What learns in reality gets as many frames as the world model learned from."""
        return {
            "frames": EpisodeDataset(read_json(run / SETTINGS)["collect"]["out"], verify=False).transitions
        }

    stages = [
        Stage("collect", collect, "play the real environment and record it"),
        Stage("train", train, "learn a world model from the recording"),
        Stage("calibrate", calibrate, "learn how far the dream can be trusted, from held-out episodes"),
        Stage("dream", dream, "an agent learns inside the dream alone, then plays in reality"),
        Stage(
            "reality",
            reality,
            "for comparison: one learns in reality, from as many frames as were recorded",
            as_many_as_collected if reality["frames"] is None else None,
        ),
        Stage("evaluate", evaluate, "hold the dream against reality"),
    ]
    with claimed(run, "the demo"):
        keep_settings(run / SETTINGS, {stage.name: dict(stage.config) for stage in stages})
        run_stages(run, stages, "the demo")
    report = Path(evaluate["out"])
    print(summary(report))
    return report / "report.html"
