"""A training run on disk: everything a killed run needs to go on exactly where its newest checkpoint stood."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from worldmodel.files import atomic_directory, remove_temporaries
from worldmodel.model.checkpoint import STEPS, check_file, read_manifest, save_world_model, saved_steps
from worldmodel.model.world_model import WorldModel

TRAINING_STATE = "training.safetensors"


def save_training(run: Path, step: int, model: WorldModel, network: nn.Module, optimizer: Optimizer) -> Path:
    """Write checkpoint `step`: the dreaming (averaged) world, and the raw weights and optimiser moments to go on from.

    Data order, noise and learning rate are functions of the step, so there is no other state. Older checkpoints are
    removed once this one is complete.
    """
    folder = run / STEPS / f"{step:08d}"
    older = saved_steps(run / STEPS)
    with atomic_directory(folder) as temporary:
        save_file(_training_tensors(network, optimizer), temporary / TRAINING_STATE)
        save_world_model(model, temporary)
    for stale in older:
        if stale != folder:
            shutil.rmtree(stale)
    return folder


def restore_training(run: Path, averaged: nn.Module, network: nn.Module, optimizer: Optimizer) -> int:
    """Load the newest checkpoint into `averaged`, `network` and `optimizer`; returns its step, 0 for a fresh run."""
    (run / STEPS).mkdir(parents=True, exist_ok=True)
    remove_temporaries(run / STEPS)
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
    network.load_state_dict(
        {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
    )
    _restore_moments(optimizer, tensors)
    return int(newest.name)


def _training_tensors(network: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    tensors = {f"network.{name}": value.contiguous() for name, value in network.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": value.contiguous() for key, value in state.items()}
    return tensors


def _restore_moments(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            index, key = rest.split(".")
            state.setdefault(int(index), {})[key] = value
    current = optimizer.state_dict()
    optimizer.load_state_dict({"state": state, "param_groups": current["param_groups"]})


def seeded_generator(seed: int, step: int, stream: int, device: torch.device) -> torch.Generator:
    """A generator for this (seed, step, stream): what a step draws does not depend on the steps before it."""
    generator = torch.Generator(device)
    key = ((seed * 1_000_003 + step) * 1_000_003 + stream) % (1 << 63)
    return generator.manual_seed(key)
