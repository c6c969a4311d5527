"""A world on disk: a diffusers pipeline folder, the world's contract and start contexts; safetensors and JSON only."""

from __future__ import annotations

import copy
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn, TypeGuard

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from worldmodel import zoo
from worldmodel.device import usable_device
from worldmodel.errors import CheckpointError, WorldModelError
from worldmodel.files import check_json, crc32, read_json, write_checked_json
from worldmodel.model.denoiser import Denoiser, NoiseConfig
from worldmodel.model.dynamics import Dynamics
from worldmodel.model.network import SpacetimeNetwork
from worldmodel.model.pipeline import WorldModelPipeline
from worldmodel.model.precision import chosen_precision
from worldmodel.model.uncertainty import Calibration
from worldmodel.model.world import StartContexts, WorldSpec
from worldmodel.model.world_model import WorldModel

FORMAT = "worldmodel-checkpoint"
VERSION = 1
MANIFEST = "world.json"
# Folders of a training run, in each a folder named after its step: the newest checkpoint, the best on held-out data.
STEPS, BEST = "checkpoints", "best"

_RETIRED = ("own_share", "own_steps")  # settings of training that older checkpoints hold


def save_world_model(model: WorldModel, folder: Path, half: bool = False) -> None:
    """Write network/, scheduler/, contexts.safetensors and, last, world.json with the checksum of every file that is
    in `folder` by then (see files.atomic_directory). half: weights as float16, which load as float32 again."""
    noise = model.dynamics.denoiser.noise
    network = copy.deepcopy(model.network).half() if half else model.network
    WorldModelPipeline(network, model.dynamics.scheduler, noise.past_told).save_pretrained(folder)
    contexts = {"frames": model.contexts.frames.contiguous(), "actions": model.contexts.actions.contiguous()}
    save_file(contexts, folder / "contexts.safetensors")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    calibration = model.dynamics.calibration
    content = {
        "format": FORMAT,
        "version": VERSION,
        "world": model.world.to_json(),
        "noise": asdict(noise),
        "num_inference_steps": model.num_inference_steps,
        "calibration": None if calibration is None else calibration.to_json(),
        "files": {str(path.relative_to(folder).as_posix()): crc32(path) for path in files},
    }
    write_checked_json(folder / MANIFEST, content)


def load_world_model(
    path: str | Path, device: str | torch.device = "cpu", precision: str | None = None
) -> WorldModel:
    """The world in `path`: a checkpoint folder, a training run or the name of a shipped world (see find_checkpoint).

    precision: in which it dreams, float32, bfloat16 or auto; None: the device's own (see chosen_precision). Raises
    CheckpointError when it is not one, is damaged, or was written by a newer version, and WorldModelError for a device
    that is not there.
    """
    place, folder = usable_device(device), find_checkpoint(path)
    content = read_manifest(folder)
    for name in content["files"]:
        if (
            "/" in name or name == "contexts.safetensors"
        ):  # the training state, if any, is not part of the world
            check_file(folder, content, name)
    try:
        network, loading = SpacetimeNetwork.from_pretrained(
            folder / "network",
            low_cpu_mem_usage=False,
            local_files_only=True,
            torch_dtype=torch.float32,
            output_loading_info=True,
        )
        _check_weights(folder, loading)
        scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(
            folder / "scheduler", local_files_only=True
        )
        contexts = StartContexts(**load_file(folder / "contexts.safetensors"))
        noise = {name: value for name, value in content["noise"].items() if name not in _RETIRED}
        denoiser = Denoiser(network, NoiseConfig(**noise))
        calibration = content.get("calibration")
        dynamics = Dynamics(
            denoiser,
            scheduler,
            content["num_inference_steps"],
            calibration=None if calibration is None else Calibration.from_json(calibration),
        )
        model = WorldModel(dynamics, WorldSpec.from_json(content["world"]), contexts)
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise damaged(folder, str(error).strip().splitlines()[0]) from error
    _check_fit(folder, model)
    return model.to(place, chosen_precision(precision, place))


def _check_weights(folder: Path, loading: dict[str, list[str]]) -> None:
    """diffusers gives weights that are not in the file random values, and only logs it: a head that is missing would
    make up its rewards."""
    missing, unknown = sorted(loading["missing_keys"]), sorted(loading["unexpected_keys"])
    if missing:
        parts = ", ".join(sorted({name.split(".")[0] for name in missing}))
        raise CheckpointError(
            f"The checkpoint {folder} lacks weights ({missing[0]}; part {parts}): restore or retrain it."
        )
    if unknown:
        raise CheckpointError(
            f"The checkpoint {folder} holds weights that its network has no place for ({unknown[0]}): "
            "restore or retrain it, or upgrade worldmodel."
        )


def _check_fit(folder: Path, model: WorldModel) -> None:
    """Network, world and start contexts must speak of the same frames and actions."""
    world, config, contexts = model.world, model.network.config, model.contexts
    numbers, length = world.codec.size, contexts.frames.shape[1] if contexts.frames.ndim == 5 else 0
    for what, found, expected in (
        ("network makes frames", tuple(config.frame_shape), world.frame_shape),
        ("network takes actions", (config.action_dim,), (numbers,)),
        ("start contexts hold frames", tuple(contexts.frames.shape[2:]), world.frame_shape),
        ("start contexts hold actions", tuple(contexts.actions.shape), (len(contexts), length - 1, numbers)),
    ):
        if found != expected:
            raise CheckpointError(
                f"The checkpoint {folder} does not fit together: its {what} of shape {list(found)}, where its world "
                f"has {list(expected)}; restore or retrain it."
            )


def keep_calibration(folder: Path, calibration: Calibration) -> None:
    """Write `calibration` into the checkpoint `folder`, in place of the one it had."""
    content = read_manifest(folder)
    write_checked_json(folder / MANIFEST, content | {"calibration": calibration.to_json()})


def find_checkpoint(checkpoint: str | Path) -> Path:
    """The folder of a checkpoint: `checkpoint` itself, the newest one of the training run that it is (RUN/best is the
    best), or the shipped world of that name.

    A Path is always a path. A text without a slash may be a name, and "zoo:NAME" is one: where a shipped world and a
    checkpoint in the working folder have the same name, neither is taken silently. Raises CheckpointError.
    """
    if isinstance(checkpoint, str) and checkpoint.startswith(zoo.PREFIX):
        return zoo.folder(checkpoint.removeprefix(zoo.PREFIX))
    found = _checkpoint_at(Path(checkpoint))
    if not _is_word(checkpoint) or checkpoint not in zoo.names():
        return found or _refuse(checkpoint)
    if found is not None:
        raise CheckpointError(
            f"{checkpoint!r} is a shipped world and also a checkpoint in the working folder: "
            f"say {zoo.PREFIX}{checkpoint} or ./{checkpoint}."
        )
    return zoo.folder(checkpoint)


def shipped_as(folder: Path) -> str | None:
    """ "zoo:NAME" of the folder of a shipped world, which is the same on every machine; None for any other folder."""
    own = folder.resolve()
    return f"{zoo.PREFIX}{own.name}" if own.parent == zoo.SHELF.resolve() else None


def place_of(checkpoint: str | Path) -> str:
    """Where a checkpoint was found, as a record tells it: a shipped world by its name, any other by its folder."""
    folder = find_checkpoint(checkpoint)
    return shipped_as(folder) or str(folder)


def _checkpoint_at(path: Path) -> Path | None:
    if (path / MANIFEST).is_file():
        return path
    steps = saved_steps(path / STEPS) or saved_steps(path)
    return steps[-1] if steps else None


def _is_word(checkpoint: str | Path) -> TypeGuard[str]:
    """Whether it may be a name: a text with no folder in it."""
    return isinstance(checkpoint, str) and Path(checkpoint).name == checkpoint


def _refuse(checkpoint: str | Path) -> NoReturn:
    shipped = f", or a shipped world: {zoo.listed()}" if _is_word(checkpoint) else ""
    remedy = f"give the folder that `worldmodel train` wrote{shipped}."
    if Path(checkpoint).exists():
        raise CheckpointError(f"{checkpoint} is not a checkpoint (it holds no {MANIFEST}): {remedy}")
    raise CheckpointError(f"There is no checkpoint at {checkpoint}: {remedy}")


def saved_steps(folder: Path) -> list[Path]:
    """The complete checkpoints of a training run, oldest first; folders still being written have other names."""
    return sorted(step for step in folder.glob("[0-9]*") if (step / MANIFEST).is_file())


def read_manifest(folder: Path) -> dict[str, Any]:
    """What world.json says, checked. Raises CheckpointError when this version cannot read it."""
    try:
        content = read_json(folder / MANIFEST)
    except WorldModelError as error:
        raise CheckpointError(f"{error} Restore or retrain it.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{folder / MANIFEST} does not describe a worldmodel checkpoint.")
    version = content.get("version")
    if isinstance(version, int) and version > VERSION:
        raise CheckpointError(
            f"{folder} was written by a newer version (format {version}, this one reads {VERSION}): "
            "upgrade worldmodel."
        )
    try:
        return check_json(folder / MANIFEST, content)
    except WorldModelError as error:
        raise CheckpointError(f"{error} Restore or retrain it.") from error


def check_file(folder: Path, manifest: dict[str, Any], name: str) -> None:
    """Raise CheckpointError when file `name` of the checkpoint is missing or not what was written."""
    path = folder / name
    if not path.is_file():
        raise damaged(folder, f"{name} is missing")
    if crc32(path) != manifest["files"].get(name):
        raise damaged(folder, f"the checksum of {name} differs")


def damaged(folder: Path, reason: str) -> CheckpointError:
    """The error of a checkpoint that is not what was written."""
    return CheckpointError(f"The checkpoint {folder} is damaged ({reason}): restore or retrain it.")
