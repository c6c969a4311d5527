"""A training run on disk: its last and its best checkpoint, and what a killed run needs to go on exactly."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from worldmodel.files import atomic_directory, read_json, remove_temporaries, write_json
from worldmodel.model.checkpoint import BEST, STEPS, check_file, read_manifest, save_world_model, saved_steps
from worldmodel.model.world_model import WorldModel
from worldmodel.training.optimizer import MuonAdamW

TRAINING_STATE = "training.safetensors"
VALIDATION = "validation.json"
JUDGED_BY = "frame"  # the held-out loss that decides which checkpoint is the best


def open_run(run: Path) -> None:
    """Make the folders of a run, and clear away what a kill left unfinished. For the main process, under its lock."""
    for folder in (run / STEPS, run / BEST):
        folder.mkdir(parents=True, exist_ok=True)
        remove_temporaries(folder)


def save_training(run: Path, step: int, model: WorldModel, network: nn.Module, optimizer: MuonAdamW) -> Path:
    """Write checkpoint `step`: the dreaming (averaged) world, and the raw weights and optimiser moments to go on from.

    Data order, noise and learning rate are functions of the step, so there is no other state. Older checkpoints are
    removed once this one is complete.
    """
    folder = run / STEPS / f"{step:08d}"
    with atomic_directory(folder) as temporary:
        save_file(_training_tensors(network, optimizer), temporary / TRAINING_STATE)
        save_world_model(model, temporary)
    _keep_only(folder)
    return folder


def save_best(run: Path, step: int, model: WorldModel, validation: Mapping[str, float]) -> Path:
    """Write the world of `step`, better than all before it, with the metrics that say so; then remove the former."""
    folder = run / BEST / f"{step:08d}"
    with atomic_directory(folder) as temporary:
        write_json(temporary / VALIDATION, {"step": step, **validation})
        save_world_model(model, temporary)
    _keep_only(folder)
    return folder


def best_loss(run: Path) -> float:
    """The lowest held-out loss so far, infinite before the first."""
    losses = []
    for folder in saved_steps(run / BEST):
        check_file(folder, read_manifest(folder), VALIDATION)
        losses.append(float(read_json(folder / VALIDATION)[JUDGED_BY]))
    return min(losses, default=math.inf)


def restore_training(run: Path, averaged: nn.Module, network: nn.Module, optimizer: MuonAdamW) -> int:
    """Load the newest checkpoint into `averaged`, `network` and `optimizer`; returns its step, 0 for a fresh run."""
    steps = saved_steps(run / STEPS)
    if not steps:
        return 0
    newest = steps[-1]
    weights_file = "network/diffusion_pytorch_model.safetensors"
    manifest = read_manifest(newest)
    for name in (TRAINING_STATE, weights_file):
        check_file(newest, manifest, name)
    tensors = load_file(newest / TRAINING_STATE)
    averaged.load_state_dict(load_file(newest / weights_file))
    network.load_state_dict(_below("network.", tensors))
    optimizer.restore(_below("optimizer.", tensors))
    return int(newest.name)


def _keep_only(folder: Path) -> None:
    for stale in saved_steps(folder.parent):
        if stale != folder:
            shutil.rmtree(stale)


def _training_tensors(network: nn.Module, optimizer: MuonAdamW) -> dict[str, Tensor]:
    tensors = {f"network.{name}": value.contiguous() for name, value in network.state_dict().items()}
    return tensors | {f"optimizer.{name}": value for name, value in optimizer.tensors().items()}


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
