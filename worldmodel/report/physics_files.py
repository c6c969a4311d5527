"""Measuring the physics of one or several models, and writing physics.html and physics.json."""

from __future__ import annotations

import pkgutil
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import WorldModelError
from worldmodel.evaluation.evaluation import check_same_world
from worldmodel.files import atomic_write_text, crc32, read_json, write_json
from worldmodel.machine import this_machine
from worldmodel.model.checkpoint import MANIFEST, find_checkpoint, load_world_model, place_of
from worldmodel.physics.parts import any_finished
from worldmodel.physics.settings import SIZES, physics_config
from worldmodel.physics.study import Subjects, study
from worldmodel.report.physics_page import cards, physics_html, physics_numbers

FORMAT, VERSION = "worldmodel-physics", 1
PAGE, NUMBERS, PARTS = "physics.html", "physics.json", "physics.parts"
_OWN = ("compare", "predict", "cache", "policies")  # keys that say what is measured, not how much


def wanted(physics: Mapping[str, Any] | None) -> bool:
    """Whether `physics.size` asks for a physics report. Raises WorldModelError for a size that there is not."""
    size = (physics or {}).get("size")
    if size is not None and size not in SIZES:
        raise WorldModelError(f"physics.size is {size!r}, expected null or one of {', '.join(SIZES)}.")
    return size is not None


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
    own = name_of(checkpoint)
    for name in {own, *compared}:
        if name in foreign or (name == own and name in compared):
            raise WorldModelError(f"Two models are called {name!r}: give each a name of its own.")
    paths = {own: checkpoint, **compared}
    models = {name: load_world_model(path, device) for name, path in paths.items()}
    for model in models.values():
        check_same_world(model, dataset)
    identities = {name: identity_of(path) for name, path in paths.items()}
    functions = {name: _function(name, target) for name, target in foreign.items()}
    main = models[own]
    subjects = Subjects(
        models={**models, **functions},
        identities={
            **identities,
            **dict.fromkeys(functions),
        },  # of a function nobody knows whether it changed
        context_frames=max(model.world.num_context_frames for model in models.values()),
        policies=physics.get("policies") or {},
    )
    report = study(subjects, dataset, config, folder / PARTS, physics.get("cache"))
    machine, seconds = this_machine(), time.monotonic() - start
    content = {
        "format": FORMAT,
        "version": VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["worldmodel", *sys.argv[1:]]),
        "checkpoints": {name: place_of(path) for name, path in paths.items()},
        "identities": identities,
        "data": str(data),
        "machine": asdict(machine),
        "seconds": seconds,
        "resumed": resumed,
        "headline": [asdict(card) for card in cards(report)],
        **physics_numbers(report),
    }
    write_json(folder / NUMBERS, content)
    atomic_write_text(folder / PAGE, physics_html(report, main.world.fps, machine, seconds, resumed))
    return folder / PAGE


def name_of(checkpoint: str) -> str:
    """What a checkpoint is called in a report: its last folder, or its name in the zoo."""
    return Path(checkpoint).name or str(checkpoint)


def identity_of(checkpoint: str) -> str:
    """A hash of a checkpoint: its weights, calibration and settings (the manifest holds every file's checksum)."""
    return f"{crc32(find_checkpoint(checkpoint) / MANIFEST):08x}"


def physics_summary(folder: Path) -> list[tuple[str, str]]:
    """(number, meaning) of the headline of the physics report in `folder`; empty without one."""
    path = folder / NUMBERS
    if not path.is_file():
        return []
    return [(item["number"], item["meaning"]) for item in read_json(path)["headline"]]


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
