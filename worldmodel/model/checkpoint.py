"""A world on disk: a diffusers pipeline folder, the world's contract and start contexts; safetensors and JSON only."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from worldmodel.errors import CheckpointError, WorldModelError
from worldmodel.files import read_json, write_json
from worldmodel.model.denoiser import Denoiser, NoiseConfig
from worldmodel.model.dynamics import Dynamics
from worldmodel.model.network import SpacetimeNetwork
from worldmodel.model.pipeline import WorldModelPipeline
from worldmodel.model.world import StartContexts, WorldSpec
from worldmodel.model.world_model import WorldModel

FORMAT = "worldmodel-checkpoint"
VERSION = 1
STEPS = "checkpoints"  # a training run keeps its checkpoints here, one folder a step


def save_world_model(model: WorldModel, folder: Path) -> None:
    """Write network/, scheduler/, world.json and contexts.safetensors into `folder` (see files.atomic_directory)."""
    noise = model.dynamics.denoiser.noise
    WorldModelPipeline(model.network, model.dynamics.scheduler, noise.past_told).save_pretrained(folder)
    contexts = {"frames": model.contexts.frames.contiguous(), "actions": model.contexts.actions.contiguous()}
    save_file(contexts, folder / "contexts.safetensors")
    content = {
        "format": FORMAT,
        "version": VERSION,
        "world": model.world.to_json(),
        "noise": asdict(noise),
        "num_inference_steps": model.num_inference_steps,
    }
    write_json(folder / "world.json", content)


def load_world_model(path: str | Path, device: str | torch.device = "cpu") -> WorldModel:
    """The world in `path`: a checkpoint folder, or a training run, of which the newest checkpoint is taken.

    Raises CheckpointError when it is not one, is damaged, or was written by a newer version.
    """
    folder = find_checkpoint(Path(path))
    content = _read_manifest(folder)
    try:
        network = SpacetimeNetwork.from_pretrained(folder / "network", low_cpu_mem_usage=False)
        scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler")
        contexts = load_file(folder / "contexts.safetensors")
        world = WorldSpec.from_json(content["world"])
        denoiser = Denoiser(network, NoiseConfig(**content["noise"]))
        dynamics = Dynamics(denoiser, scheduler, content["num_inference_steps"])
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"The checkpoint {folder} is damaged ({reason}): restore or retrain it."
        ) from error
    return WorldModel(dynamics, world, StartContexts(**contexts)).to(device)


def find_checkpoint(path: Path) -> Path:
    """`path` itself when it is a checkpoint, else the newest one of the training run that it is."""
    if not path.exists():
        raise CheckpointError(
            f"There is no checkpoint at {path}: give the folder that `worldmodel train` wrote."
        )
    if (path / "world.json").is_file():
        return path
    steps = saved_steps(path / STEPS)
    if not steps:
        raise CheckpointError(
            f"{path} is not a checkpoint (it holds no world.json): give the folder that `worldmodel train` wrote."
        )
    return steps[-1]


def saved_steps(folder: Path) -> list[Path]:
    """The complete checkpoints of a training run, oldest first; folders still being written have other names."""
    return sorted(step for step in folder.glob("[0-9]*") if (step / "world.json").is_file())


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        content = read_json(folder / "world.json")
    except WorldModelError as error:
        raise CheckpointError(str(error)) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{folder / 'world.json'} does not describe a worldmodel checkpoint.")
    if content["version"] > VERSION:
        raise CheckpointError(
            f"{folder} was written by a newer version (format {content['version']}, this one reads {VERSION}): "
            "upgrade worldmodel."
        )
    return content
