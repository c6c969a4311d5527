"""`worldmodel publish`: a trained run in, a small world that can be shipped, with its card, out."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from worldmodel.arguments import made_of
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import CheckpointError, WorldModelError
from worldmodel.evaluation.calibration import CalibrationConfig, calibrate_model
from worldmodel.evaluation.dreaming import dream_branches
from worldmodel.evaluation.evaluation import check_same_world
from worldmodel.evaluation.moments.futures import Futures, draw_futures
from worldmodel.evaluation.psnr import psnr
from worldmodel.files import atomic_directory, atomic_write_text, read_json, write_json
from worldmodel.model.checkpoint import find_checkpoint, load_world_model, save_world_model
from worldmodel.model.dynamics import Dynamics
from worldmodel.model.world_model import WorldModel
from worldmodel.report.card import CARD, README, Training, card_numbers, card_text
from worldmodel.training.budget import Call, read_budget

WEIGHTS = "network/diffusion_pytorch_model.safetensors"
MEGABYTE = 1e6


@dataclass(frozen=True)
class Check:
    """How the loss of rounding to float16 is measured: PSNR of so many held-out moments, dreamt so many steps on."""

    contexts: int = 32
    horizon: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("contexts", 1), ("horizon", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise WorldModelError(f"check.{name} is {getattr(self, name)}, expected at least {least}.")


def publish(
    checkpoint: str,
    data: str,
    name: str,
    out: str | None = None,
    report: str | None = None,
    num_contexts: int = 64,
    most_megabytes: float = 16.0,
    limits: Sequence[str] = (),
    licence: str = "MIT",
    budget: Mapping[str, Any] | None = None,
    calibration: Mapping[str, Any] | None = None,
    check: Mapping[str, Any] | None = None,
) -> Path:
    """Write the world of `checkpoint`, which a training run on `data` made, to the folder `out` (None:
    worlds/NAME); returns it.

    report: report.json of `worldmodel evaluate`, for the card's figures; limits: sentences for the card, beside what
    the figures say; budget: command, minutes and machine of a training that did not record them; calibration: fields of
    CalibrationConfig, for a checkpoint without a calibration; check: fields of Check. Raises WorldModelError when the
    world does not become small enough, and then writes nothing.
    """
    if not re.fullmatch("[a-z0-9][a-z0-9_-]*", name):
        raise WorldModelError(f"name is {name!r}, expected a word of small letters, digits, - and _.")
    if num_contexts < 1:
        raise WorldModelError(f"num_contexts is {num_contexts}: a dream needs at least 1 to start from.")
    comparison = made_of(Check, check, "check")
    reliability = made_of(CalibrationConfig, calibration, "calibration")
    target = Path(out or f"worlds/{name}")
    _check_target(target)
    folder, dataset = find_checkpoint(checkpoint), EpisodeDataset(data)
    training = _training(folder, budget)
    model = load_world_model(folder)
    check_same_world(model, dataset)
    numbers = None if report is None else _report(Path(report), folder, model)
    if model.dynamics.calibration is None:
        model.dynamics.calibration = calibrate_model(model, dataset, reliability)
    world = _small(model, num_contexts)
    loss = _rounding_loss(model, world, dataset, comparison)
    with atomic_directory(target) as temporary:
        save_world_model(world, temporary, half=True)
        load_world_model(temporary)  # what is shipped must load
        size = sum(file.stat().st_size for file in temporary.rglob("*") if file.is_file()) / MEGABYTE
        if size > most_megabytes:
            raise WorldModelError(
                f"The world takes {size:.1f} MB, more than {most_megabytes:g}: give fewer num_contexts "
                f"(each takes {_context_megabytes(world):.2f} MB), or train a smaller model."
            )
        content = card_numbers(
            name=name,
            world=world,
            manifest=dataset.manifest,
            transitions=dataset.transitions,
            training=training,
            rounding=loss,
            report=numbers,
            limits=list(limits),
            licence=licence,
            megabytes=size,
            sha256=hashlib.sha256((temporary / WEIGHTS).read_bytes()).hexdigest(),
        )
        write_json(temporary / CARD, content)
        atomic_write_text(temporary / README, card_text(content))
    print(f"{name}: {size:.1f} MB in {target}; float16 costs {max(loss['loss']):.3f} dB at most")
    return target


def _check_target(target: Path) -> None:
    """Only a world that was published before is replaced, never a run, a dataset or somebody's folder."""
    if target.exists() and not (target / CARD).is_file() and (target.is_file() or any(target.iterdir())):
        raise WorldModelError(f"{target} is there and is no published world: choose another out=.")


def _training(folder: Path, told: Mapping[str, Any] | None) -> Training:
    """Settings and budget of the run that wrote the checkpoint `folder`, and of those whose weights it began with."""
    run = _run_of(folder)
    if run is None:
        raise CheckpointError(
            f"{folder} lies in no training run, so its card could not say how it was made: give checkpoint=RUN, "
            "the folder that `worldmodel train` wrote."
        )
    steps = int(folder.name)
    calls = read_budget(run)
    given = {key: value for key, value in (told or {}).items() if value is not None}
    if given:
        calls = [made_of(Call, {**given, "began": "", "from_step": 0, "to_step": steps}, "budget")]
    if not calls:
        raise CheckpointError(
            f"{run} has no record of what its training cost: give budget.minutes, budget.command and "
            "budget.machine."
        )
    settings = read_json(run / "settings.json")
    weights = settings.get("weights")
    earlier = None if weights is None else _earlier(str(weights))
    return Training(settings, steps, calls, earlier, weights if earlier is None else None)


def _earlier(weights: str) -> Training | None:
    """The training that made `weights`, if it is on this disk and told what it cost."""
    try:
        folder = find_checkpoint(weights)
    except CheckpointError:
        return None
    run = _run_of(folder)
    return None if run is None or not read_budget(run) else _training(folder, None)


def _run_of(folder: Path) -> Path | None:
    """The training run that wrote the checkpoint `folder`, if one did."""
    if not folder.name.isdigit():
        return None
    return next((parent for parent in folder.resolve().parents if (parent / "settings.json").is_file()), None)


def _report(path: Path, folder: Path, model: WorldModel) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != "worldmodel-report":
        raise WorldModelError(f"{path} is not a report.json of `worldmodel evaluate`.")
    if Path(content["checkpoint"]).name != folder.name or content.get("world") != model.world.to_json():
        raise WorldModelError(
            f"{path} is of the checkpoint {content['checkpoint']}, not of {folder}: evaluate this one first."
        )
    return content


def _small(model: WorldModel, num_contexts: int) -> WorldModel:
    """The world with weights rounded to float16, and the first start contexts, which were drawn at random."""
    denoiser = copy.deepcopy(model.dynamics.denoiser)
    for weight in denoiser.network.parameters():  # not the buffers, which are made anew when it is loaded
        weight.data = weight.data.half().float()
    if not all(weight.isfinite().all() for weight in denoiser.network.parameters()):
        raise WorldModelError("Some weights are too large for float16, so this world cannot be published.")
    old = model.dynamics
    dynamics = Dynamics(denoiser, old.scheduler, old.num_inference_steps, old.window, old.calibration)
    count = min(num_contexts, len(model.contexts))
    return WorldModel(dynamics, model.world, model.contexts.select(torch.arange(count)))


def _rounding_loss(
    model: WorldModel, rounded: WorldModel, dataset: EpisodeDataset, check: Check
) -> dict[str, list[float]]:
    """PSNR by horizon of both worlds on the same held-out moments, from the same noise, and what rounding costs."""
    heldout, context = dataset.split("heldout"), model.world.num_context_frames
    futures = draw_futures(dataset, heldout, context, check.horizon, check.contexts, check.seed)
    full, half = (_psnr(world, futures, check.seed) for world in (model, rounded))
    return {"float32": full, "float16": half, "loss": [a - b for a, b in zip(full, half, strict=True)]}


def _psnr(model: WorldModel, futures: Futures, seed: int) -> list[float]:
    imagined = dream_branches(model, futures, futures.actions[:, None], seed, "comparing float16")
    values, valid = psnr(imagined.frames[:, 0], futures.frames), futures.valid
    return ((values * valid).sum(0) / valid.sum(0)).tolist()


def _context_megabytes(world: WorldModel) -> float:
    return world.contexts.frames[0].numel() / MEGABYTE
