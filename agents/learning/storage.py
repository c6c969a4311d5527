"""Agents on disk: safetensors and JSON, written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from worldmodel.agents.learning.actor_critic import ActorCritic
from worldmodel.errors import CheckpointError, WorldModelError
from worldmodel.files import atomic_directory, read_json, write_json
from worldmodel.spaces import space_from_json, space_to_json

FORMAT = "worldmodel-policy"
VERSION = 1
_MANIFEST, _WEIGHTS, _OPTIMIZER = "policy.json", "policy.safetensors", "optimizer.safetensors"


def save_policy(policy: ActorCritic, folder: str | Path, about: dict[str, Any] | None = None) -> None:
    """Write the folder, replacing an older one. about: JSON of the caller's own, kept under "about"."""
    with atomic_directory(folder) as temporary:
        _write(policy, temporary, about or {})


def load_policy(folder: str | Path, device: str | torch.device = "cpu") -> ActorCritic:
    """The agent in `folder`. Raises CheckpointError when it is missing, damaged, newer than this version or none."""
    return _read(Path(folder))[0].to(device)


def policy_about(folder: str | Path) -> dict[str, Any]:
    """What `save_policy` was told to keep beside the agent in `folder`. Raises CheckpointError as load_policy."""
    return dict(_manifest(Path(folder))["about"])


def find_policy(path: str | Path) -> Path:
    """The policy's folder: `path` itself, or the one in the run folder of `worldmodel agent train` that it is."""
    return Path(path) / "policy" if (Path(path) / "policy").is_dir() else Path(path)


def save_learner(policy: ActorCritic, optimizer: Optimizer, folder: Path, about: dict[str, Any]) -> None:
    """A policy's folder that also holds what learning goes on from: the optimiser's moments."""
    tensors: dict[str, Tensor] = {}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"{index}.{key}": value.contiguous() for key, value in state.items()}
    with atomic_directory(folder) as temporary:
        _write(policy, temporary, about)
        save_file(tensors, temporary / _OPTIMIZER)


def restore_learner(folder: Path, policy: ActorCritic, optimizer: Optimizer) -> dict[str, Any]:
    """Bring `policy` and `optimizer` back to what `save_learner` wrote; returns its `about`. Errors as load_policy."""
    stored, about = _read(folder)
    moments = _load(folder / _OPTIMIZER)
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in moments.items():
        index, key = name.split(".")
        state.setdefault(int(index), {})[key] = value
    try:
        policy.load_state_dict(stored.state_dict())
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    except (RuntimeError, ValueError) as error:
        raise _damaged(folder, error) from error
    return about


def saved_learners(folder: Path) -> list[Path]:
    """The complete checkpoints in `folder`, oldest first; those still being written have other names."""
    return sorted(item for item in folder.glob("[0-9]*") if (item / _MANIFEST).is_file())


def _write(policy: ActorCritic, folder: Path, about: dict[str, Any]) -> None:
    tensors = {name: value.contiguous() for name, value in policy.state_dict().items()}
    save_file(tensors, folder / _WEIGHTS)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "frame_shape": list(policy.frame_shape),
        "action_space": space_to_json(policy.action_space),
        "network": policy.config,
        "about": about,
    }
    write_json(folder / _MANIFEST, content)


def _read(folder: Path) -> tuple[ActorCritic, dict[str, Any]]:
    content = _manifest(folder)
    weights = _load(folder / _WEIGHTS)
    try:
        height, width, color = content["frame_shape"]
        space = space_from_json(content["action_space"])
        policy = ActorCritic((height, width, color), space, **content["network"])
        policy.load_state_dict(weights)
        return policy, content["about"]
    except (RuntimeError, KeyError, TypeError, ValueError, WorldModelError) as error:
        raise _damaged(folder, error) from error


def _manifest(folder: Path) -> dict[str, Any]:
    if not (folder / _MANIFEST).is_file():
        raise CheckpointError(
            f"There is no agent at {folder}: give the policy folder that `worldmodel agent train` wrote."
        )
    try:
        content = read_json(folder / _MANIFEST)
    except WorldModelError as error:
        raise CheckpointError(str(error)) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{folder / _MANIFEST} does not describe an agent of worldmodel.")
    if content.get("world"):
        raise CheckpointError(
            f"The agent in {folder} sees features of a world model, which agents no longer do: train one on frames."
        )
    if not isinstance(content.get("version"), int) or content["version"] > VERSION:
        raise CheckpointError(
            f"{folder} was written by a newer version (format {content.get('version')}, this one reads {VERSION}): "
            "upgrade worldmodel."
        )
    return content


def _load(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise _damaged(path.parent, error) from error


def _damaged(folder: Path, error: Exception) -> CheckpointError:
    reason = str(error).strip().splitlines()[0]
    return CheckpointError(
        f"The agent in {folder} is damaged ({reason}): restore it, or delete it and train again."
    )
