"""`worldmodel train`: a dataset of episodes in, a world model out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from diffusers import FlowMatchEulerDiscreteScheduler

from worldmodel.arguments import made_of
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.windows import ClipSampler
from worldmodel.errors import WorldModelError
from worldmodel.files import exclusive_lock
from worldmodel.model.checkpoint import STEPS, find_checkpoint, load_world_model, saved_steps
from worldmodel.model.denoiser import Denoiser, NoiseConfig
from worldmodel.model.dynamics import Dynamics
from worldmodel.model.network import SpacetimeNetwork
from worldmodel.model.precision import native_bfloat16
from worldmodel.model.world import StartContexts, WorldSpec
from worldmodel.model.world_model import WorldModel
from worldmodel.run_settings import keep_settings
from worldmodel.training.config import TrainingConfig
from worldmodel.training.processes import choose_precision, make_accelerator, on_main
from worldmodel.training.record import Record
from worldmodel.training.state import open_run, restore_training
from worldmodel.training.strips import Moments
from worldmodel.training.trainer import Trainer
from worldmodel.training.validation import CLIPS, Validation

NUM_INFERENCE_STEPS = 2  # the default of the checkpoint; 1 and 4 work from the same weights
# Between the calls of one run these may differ; the learning rate, because a run that diverged needs a lower one.
MAY_CHANGE = frozenset(
    f"train.{name}" for name in ("max_minutes", "checkpoint_minutes", "validate_every", "learning_rate")
)


def train(
    data: str,
    out: str,
    model: Mapping[str, Any],
    noise: Mapping[str, Any],
    train: Mapping[str, Any],
    num_context_frames: int = 4,
    num_contexts: int = 256,
    weights: str | None = None,
    device: str | None = None,
) -> Path:
    """Train on the dataset `data` into the run folder `out`, or go on where its newest checkpoint stands.

    model: arguments of SpacetimeNetwork besides those the dataset fixes; noise: NoiseConfig; train: TrainingConfig;
    weights: checkpoint of such a network whose weights a new run starts from, None for random ones; device: None takes
    what accelerate finds. Started by torchrun or accelerate, the processes share the work. Returns
    the newest checkpoint's folder.
    """
    folder, config = Path(out), made_of(TrainingConfig, train, "train")
    accelerator = make_accelerator(device)
    precision = choose_precision(config.mixed_precision, accelerator.device)
    rank, world = accelerator.process_index, accelerator.num_processes
    _check_divides(config.batch_size, world)
    # The main process checks the files for all.
    dataset = on_main(accelerator, lambda: EpisodeDataset(data)) or EpisodeDataset(data, verify=False)
    # Everything that can fail for a setting is made before the settings are kept.
    clips = _sampler(dataset, "train", config, config.batch_size)
    odds = _termination_odds(dataset, clips)
    denoiser, averaged = (_new_denoiser(dataset, model, noise, odds, config.seed) for _ in range(2))
    if weights is not None and not saved_steps(folder / STEPS):  # a run that goes on has its own
        _start_from(weights, denoiser, averaged)
    world_model = _world_model(dataset, averaged, num_context_frames, num_contexts, config.seed)
    validation = _validation(dataset, world_model, config)
    trainer = Trainer(denoiser, averaged, config, accelerator, precision)
    settings: dict[str, Any] = {"model": dict(model), "noise": dict(noise), "data": _fingerprint(dataset)}
    settings["train"] = dict(train) | {"mixed_precision": precision}
    settings["weights"] = weights
    settings["contexts"] = {"num_context_frames": num_context_frames, "num_contexts": num_contexts}
    with ExitStack() as stack:
        on_main(accelerator, lambda: _claim(folder, settings, stack))
        start = restore_training(folder, averaged.network, trainer.network, trainer.optimizer)
        if start < config.steps:
            hooks = None
            if accelerator.is_main_process:
                print(_plan(accelerator, precision, config, start), file=sys.stderr)
                record = Record(folder, validation, trainer.network, trainer.optimizer, start)
                hooks = stack.enter_context(record).hooks
            trainer.run(lambda step: clips.batch(step, rank, world), start, hooks)
        return find_checkpoint(folder)


def _check_divides(batch_size: int, processes: int) -> None:
    if batch_size % processes:
        raise WorldModelError(
            f"train.batch_size={batch_size} clips do not divide among {processes} processes: "
            f"give a multiple of {processes}."
        )


def _claim(folder: Path, settings: Mapping[str, Any], stack: ExitStack) -> None:
    """Make `folder` this run's own for as long as `stack` is open, or raise because it is another's."""
    folder.mkdir(parents=True, exist_ok=True)
    busy = f"Another process is training in {folder}: wait for it, or stop it."
    stack.enter_context(exclusive_lock(folder / ".lock", busy))
    keep_settings(folder / "settings.json", settings, MAY_CHANGE)
    open_run(folder)


def _plan(accelerator: Accelerator, precision: str, config: TrainingConfig, start: int) -> str:
    """One line: where, how exactly and how far."""
    device = accelerator.device.type
    where = torch.cuda.get_device_name(accelerator.device) if device == "cuda" else device
    what = {"no": "float32", "bf16": "bfloat16"}[precision]
    if precision == "bf16" and not native_bfloat16(accelerator.device):
        what += " (emulated: slow)"
    count = accelerator.num_processes
    return (
        f"training on {where} in {what}, {count} process{'es' if count > 1 else ''}, {config.batch_size} clips of "
        f"{config.clip_length} steps a batch, from step {start} to {config.steps}"
    )


def _fingerprint(dataset: EpisodeDataset) -> dict[str, Any]:
    """What a run must not change under way: the order of the clips and the meaning of the reward depend on it."""
    return {
        "env": dataset.env.to_json(),
        "episodes": dataset.episodes,
        "transitions": dataset.transitions,
        "first_seed": int(dataset.seeds[0]),
        "reward_range": list(_reward_range(dataset)),
    }


def _new_denoiser(
    dataset: EpisodeDataset, model: Mapping[str, Any], noise: Mapping[str, Any], odds: float, seed: int
) -> Denoiser:
    torch.manual_seed(seed)  # only the initial weights come from the global generator
    fixed = {"frame_shape": dataset.frame_shape, "action_dim": dataset.codec.size}
    fixed |= {"reward_range": _reward_range(dataset), "termination_odds": odds}
    network = made_of(SpacetimeNetwork, {**model, **fixed}, "model")
    return Denoiser(network.to(memory_format=torch.channels_last), made_of(NoiseConfig, noise, "noise"))


def _start_from(weights: str, *denoisers: Denoiser) -> None:
    learned = load_world_model(weights).network.state_dict()
    for denoiser in denoisers:
        try:
            denoiser.network.load_state_dict(learned)
        except RuntimeError as error:
            raise WorldModelError(
                f"The network in {weights} is not the one that this run's model, frames and actions describe: "
                "train with the same ones, or without weights."
            ) from error


def _world_model(
    dataset: EpisodeDataset, averaged: Denoiser, num_context_frames: int, num_contexts: int, seed: int
) -> WorldModel:
    height, width, channels = dataset.frame_shape
    world = WorldSpec(
        env=dataset.env,
        action_space=dataset.action_space,
        frame_shape=(height, width, channels),
        fps=dataset.fps,
        max_episode_steps=dataset.max_episode_steps,
        reward_range=_reward_range(dataset),
        num_context_frames=num_context_frames,
    )
    contexts = StartContexts.draw(dataset, dataset.split("train"), num_context_frames, num_contexts, seed)
    dynamics = Dynamics(averaged, FlowMatchEulerDiscreteScheduler(), NUM_INFERENCE_STEPS)
    return WorldModel(dynamics, world, contexts)


def _validation(dataset: EpisodeDataset, model: WorldModel, config: TrainingConfig) -> Validation:
    moments = Moments.draw(dataset, dataset.split("heldout"), model.world.num_context_frames, config.seed)
    return Validation(model, _sampler(dataset, "heldout", config, CLIPS), moments, config.seed)


def _termination_odds(dataset: EpisodeDataset, clips: ClipSampler) -> float:
    """An end weighs as much more than another step as clips show it more often than the world does."""
    share, shown = float(dataset.terminated.mean()), clips.end_rate
    return max(1.0, (shown / (1 - shown)) / (share / (1 - share))) if 0 < share < 1 and shown else 1.0


def _reward_range(dataset: EpisodeDataset) -> tuple[float, float]:
    return float(dataset.rewards.min()), float(dataset.rewards.max())


def _sampler(
    dataset: EpisodeDataset, split: Literal["train", "heldout"], config: TrainingConfig, batch_size: int
) -> ClipSampler:
    indices = dataset.split(split)
    return ClipSampler(dataset, indices, config.clip_length, batch_size, config.seed, config.end_share)
