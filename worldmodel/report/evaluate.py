"""`worldmodel evaluate`: a checkpoint and data in, report.html and report.json out."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from worldmodel.arguments import made_of
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.device import chosen_device
from worldmodel.errors import WorldModelError
from worldmodel.evaluation.evaluation import EvaluationConfig, measure
from worldmodel.files import atomic_write_text, read_json, write_json
from worldmodel.machine import this_machine
from worldmodel.model.checkpoint import load_world_model
from worldmodel.report.agents import read_agents
from worldmodel.report.numbers import agent_numbers, evaluation_numbers
from worldmodel.report.physics_files import NUMBERS, PAGE, physics_summary, place_of, wanted, write_physics
from worldmodel.report.report import Report

FORMAT, VERSION = "worldmodel-report", 1


def evaluate(
    checkpoint: str,
    data: str,
    out: str,
    agents: Mapping[str, str] | None = None,
    measurements: Mapping[str, Any] | None = None,
    policy: Mapping[str, Any] | None = None,
    physics: Mapping[str, Any] | None = None,
    dreams: bool = True,
    device: str | None = None,
) -> Path:
    """Measure `checkpoint` on the held-out episodes of `data` and write the report to the folder `out`.

    agents: name -> folder of `worldmodel agent train`, shown in the report; measurements: fields of EvaluationConfig;
    policy: acts in long dreams, a config with `_target_`; physics: see write_physics, left out while its size is None;
    dreams=False leaves out all but the physics; device: None takes a GPU where there is one. Returns the path of the
    page that was written last, report.html or physics.html; a JSON beside each holds every number.
    """
    config, there = made_of(EvaluationConfig, measurements, "measurements"), chosen_device(device)
    obeys = wanted(physics)
    if not dreams and not obeys:
        raise WorldModelError("Nothing is to be measured: set physics.size, or leave dreams=true.")
    if dreams:
        page = _write_dreams(checkpoint, data, Path(out), agents or {}, config, policy, there)
    return write_physics(checkpoint, data, Path(out), physics or {}, there) if obeys else page


def _write_dreams(
    checkpoint: str,
    data: str,
    folder: Path,
    agents: Mapping[str, str],
    config: EvaluationConfig,
    policy: Mapping[str, Any] | None,
    device: torch.device,
) -> Path:
    start = time.monotonic()
    model = load_world_model(checkpoint, device)
    results = read_agents(agents)
    evaluation = measure(model, EpisodeDataset(data), config, policy)
    report = Report(model.world, evaluation, results, this_machine(), time.monotonic() - start)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["worldmodel", *sys.argv[1:]]),
        "checkpoint": place_of(checkpoint),
        "data": str(data),
        "measurements": asdict(config),
        "world": model.world.to_json(),
        "machine": asdict(report.machine),
        "seconds": report.seconds,
        "headline": [asdict(card) for card in report.cards()],
        **evaluation_numbers(evaluation),
        "agents": agent_numbers(results),
    }
    write_json(folder / "report.json", content)
    atomic_write_text(folder / "report.html", report.html())
    return folder / "report.html"


def summary(folder: Path) -> str:
    """The headline numbers of the report in `folder`, and where it is, as lines of text."""
    rows, ends = [], []
    if (folder / "report.json").is_file():
        rows += [(item["number"], item["meaning"]) for item in read_json(folder / "report.json")["headline"]]
        ends += [f"report: {folder / 'report.html'}", f"all numbers: {folder / 'report.json'}"]
    if found := physics_summary(folder):
        rows += found
        ends += [f"physics: {folder / PAGE}", f"all numbers: {folder / NUMBERS}"]
    width = max(len(number) for number, _ in rows)
    return "\n".join([*(f"{number:>{width}}  {meaning}" for number, meaning in rows), *ends])
