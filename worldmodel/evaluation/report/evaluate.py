"""`worldmodel evaluate`: a checkpoint and data in, report.html and physics.html with their JSON out."""

from __future__ import annotations

import pkgutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from worldmodel.arguments import made_of
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.device import chosen_device
from worldmodel.errors import WorldModelError
from worldmodel.evaluation.evaluation import EvaluationConfig, check_same_world, measure
from worldmodel.evaluation.parts import any_finished
from worldmodel.evaluation.report.agents import read_agents
from worldmodel.evaluation.report.evaluation_page import Report, evaluation_numbers
from worldmodel.evaluation.report.physics_page import cards, physics_html, physics_numbers
from worldmodel.evaluation.settings import SIZES, physics_config
from worldmodel.evaluation.study import Subjects, study
from worldmodel.files import atomic_write_text, crc32, read_json, write_json
from worldmodel.machine import this_machine
from worldmodel.model.checkpoint import MANIFEST, find_checkpoint, load_world_model, place_of
from worldmodel.report.numbers import plain, written

REPORT, PHYSICS, PARTS = "report", "physics", "physics.parts"
_OWN = ("compare", "predict", "cache", "policies")  # keys that say what is measured, not how much


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
    size = (physics or {}).get("size")
    if size is not None and size not in SIZES:
        raise WorldModelError(f"physics.size is {size!r}, expected null or one of {', '.join(SIZES)}.")
    if not dreams and size is None:
        raise WorldModelError("Nothing is to be measured: set physics.size, or leave dreams=true.")
    if dreams:
        page = _write_dreams(checkpoint, data, Path(out), agents or {}, config, policy, there)
    return page if size is None else write_physics(checkpoint, data, Path(out), physics or {}, there)


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
        **written("worldmodel-report", report.machine),
        "checkpoint": place_of(checkpoint),
        "data": str(data),
        "measurements": asdict(config),
        "world": model.world.to_json(),
        "seconds": report.seconds,
        "headline": report.cards(),
        **evaluation_numbers(evaluation),
        "agents": {agent.name: agent for agent in results},
    }
    return _write(folder, REPORT, content, report.html())


def write_physics(
    checkpoint: str, data: str, folder: Path, physics: Mapping[str, Any], device: torch.device
) -> Path:
    """Measure `checkpoint` beside all that `physics` names and write both files to `folder`; a run that was stopped
    goes on where it was. Returns the path of physics.html.

    physics: `size`, any field of PhysicsConfig, and compare (name -> checkpoint), predict (name -> module:function,
    called as predict(context_frames, actions) -> frames), policies (name -> config with `_target_`), cache (folder of
    probes).
    """
    start = time.monotonic()
    resumed = any_finished(folder / PARTS)
    config = physics_config({key: value for key, value in physics.items() if key not in _OWN})
    dataset = EpisodeDataset(data)
    compared, foreign = physics.get("compare") or {}, physics.get("predict") or {}
    own = Path(checkpoint).name or checkpoint
    for name in {own, *compared}:
        if name in foreign or (name == own and name in compared):
            raise WorldModelError(f"Two models are called {name!r}: give each a name of its own.")
    paths = {own: checkpoint, **compared}
    models = {name: load_world_model(path, device) for name, path in paths.items()}
    for model in models.values():
        check_same_world(model, dataset)
    identities = {name: identity_of(path) for name, path in paths.items()}
    functions = {name: _function(name, target) for name, target in foreign.items()}
    subjects = Subjects(
        models={**models, **functions},
        identities={**identities, **dict.fromkeys(functions)},  # nobody knows whether a function changed
        context_frames=max(model.world.num_context_frames for model in models.values()),
        policies=physics.get("policies") or {},
    )
    report = study(subjects, dataset, config, folder / PARTS, physics.get("cache"))
    machine, seconds = this_machine(), time.monotonic() - start
    content = {
        **written("worldmodel-physics", machine),
        "checkpoints": {name: place_of(path) for name, path in paths.items()},
        "identities": identities,
        "data": str(data),
        "seconds": seconds,
        "resumed": resumed,
        "headline": cards(report),
        **physics_numbers(report),
    }
    html = physics_html(report, models[own].world.fps, machine, seconds, resumed)
    return _write(folder, PHYSICS, content, html)


def identity_of(checkpoint: str) -> str:
    """A hash of a checkpoint: its weights, calibration and settings (the manifest holds every file's checksum)."""
    return f"{crc32(find_checkpoint(checkpoint) / MANIFEST):08x}"


def summary(folder: Path) -> str:
    """The headline numbers of the reports in `folder`, and where they are, as lines of text."""
    rows, ends = [], []
    for name in (REPORT, PHYSICS):
        numbers = folder / f"{name}.json"
        if numbers.is_file():
            rows += [(item["number"], item["meaning"]) for item in read_json(numbers)["headline"]]
            ends += [f"{name}: {folder / name}.html", f"all numbers: {numbers}"]
    width = max(len(number) for number, _ in rows)
    return "\n".join([*(f"{number:>{width}}  {meaning}" for number, meaning in rows), *ends])


def _write(folder: Path, name: str, content: dict[str, Any], html: str) -> Path:
    write_json(folder / f"{name}.json", plain(content))
    atomic_write_text(folder / f"{name}.html", html)
    return folder / f"{name}.html"


def _function(name: str, target: Any) -> Any:
    try:
        found = pkgutil.resolve_name(str(target))
    except (ImportError, AttributeError, ValueError) as error:
        raise WorldModelError(
            f"physics.predict.{name}={target} cannot be found ({error}); write module:function."
        ) from error
    if not callable(found):
        raise WorldModelError(f"physics.predict.{name}={target} is {found!r}, which is no function.")
    return found
