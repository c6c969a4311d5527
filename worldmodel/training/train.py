"""`worldmodel train`: a dataset of episodes in, a world model out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from diffusers import FlowMatchEulerDiscreteScheduler
from torch.utils.tensorboard import SummaryWriter

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.windows import ClipSampler
from worldmodel.errors import WorldModelError
from worldmodel.files import exclusive_lock
from worldmodel.model.checkpoint import find_checkpoint
from worldmodel.model.denoiser import Denoiser, NoiseConfig
from worldmodel.model.dynamics import Dynamics
from worldmodel.model.network import SpacetimeNetwork
from worldmodel.model.world import StartContexts, WorldSpec
from worldmodel.model.world_model import WorldModel
from worldmodel.run_settings import keep_settings
from worldmodel.training.config import TrainingConfig
from worldmodel.training.state import restore_training, save_training, seeded_generator
from worldmodel.training.trainer import VALIDATION_STREAM, Hooks, Trainer

NUM_INFERENCE_STEPS = 2  # the default of the checkpoint; 1 and 4 work from the same weights
VALIDATION_BATCHES = 4
# Between the calls of one run these may differ; the learning rate, because a run that diverged needs a lower one.
MAY_CHANGE = frozenset(
    f"training.{name}" for name in ("max_minutes", "checkpoint_minutes", "validate_every", "learning_rate")
)


def train(
    data: str,
    out: str,
    model: Mapping[str, Any],
    noise: Mapping[str, Any],
    training: Mapping[str, Any],
    num_context_frames: int = 4,
    num_contexts: int = 256,
    device: str | None = None,
) -> Path:
    """Train on the dataset `data` into the run folder `out`, or go on where its newest checkpoint stands.

    model: arguments of SpacetimeNetwork besides those the dataset fixes; noise: NoiseConfig; training: TrainingConfig;
    device: None takes what accelerate finds. Returns the newest checkpoint's folder.
    """
    run, config = Path(out), TrainingConfig(**training)
    accelerator = _accelerator(device)
    dataset = EpisodeDataset(data)
    # Everything that can fail for a setting is made before the settings are kept.
    train_clips, heldout_clips = _sampler(dataset, "train", config), _sampler(dataset, "heldout", config)
    odds = _termination_odds(dataset, train_clips)
    denoiser, averaged = (_new_denoiser(dataset, model, noise, odds, config.seed) for _ in range(2))
    world_model = _world_model(dataset, averaged, num_context_frames, num_contexts, config.seed)
    trainer = Trainer(denoiser, averaged, config, accelerator)
    run.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(run / ".lock", f"Another process is training in {run}: wait for it, or stop it."):
        settings = {"model": dict(model), "noise": dict(noise), "training": dict(training)}
        settings["contexts"] = {"num_context_frames": num_context_frames, "num_contexts": num_contexts}
        keep_settings(run / "settings.json", settings | {"data": _fingerprint(dataset)}, MAY_CHANGE)
        start = restore_training(run, averaged.network, trainer.network, trainer.optimizer)
        if start < config.steps:
            with SummaryWriter(str(run / "tensorboard"), purge_step=start) as writer:
                hooks = Hooks(
                    save=lambda step: save_training(
                        run, step, world_model, trainer.network, trainer.optimizer
                    ),
                    log=lambda step, metrics: _log(writer, step, metrics),
                    validate=lambda: _validate(averaged, heldout_clips, config.seed),
                )
                trainer.run(train_clips.batch, start, hooks)
    return find_checkpoint(run)


def _accelerator(device: str | None) -> Accelerator:
    if device not in (None, "cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        raise WorldModelError(
            f"device={device} is not available here: give device=cpu, device=cuda on a machine with a CUDA GPU, "
            "or nothing for what is there."
        )
    accelerator = Accelerator(cpu=device == "cpu")
    if accelerator.num_processes > 1:
        raise WorldModelError("Training on several processes is not supported yet: start a single one.")
    return accelerator


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
    network = SpacetimeNetwork(
        frame_shape=dataset.frame_shape,
        action_dim=dataset.codec.size,
        reward_range=_reward_range(dataset),
        termination_odds=odds,
        **model,
    )
    return Denoiser(network.to(memory_format=torch.channels_last), NoiseConfig(**noise))


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


def _termination_odds(dataset: EpisodeDataset, clips: ClipSampler) -> float:
    share, shown = float(dataset.terminated.mean()), clips.end_rate
    return (shown / (1 - shown)) / (share / (1 - share)) if 0 < share < 1 and shown else 1.0


def _reward_range(dataset: EpisodeDataset) -> tuple[float, float]:
    return float(dataset.rewards.min()), float(dataset.rewards.max())


def _sampler(
    dataset: EpisodeDataset, split: Literal["train", "heldout"], config: TrainingConfig
) -> ClipSampler:
    indices = dataset.split(split)
    return ClipSampler(dataset, indices, config.clip_length, config.batch_size, config.seed, config.end_share)


def _log(writer: SummaryWriter, step: int, metrics: dict[str, float]) -> None:
    for name, value in metrics.items():
        writer.add_scalar(name, value, step)


@torch.no_grad()
def _validate(averaged: Denoiser, clips: ClipSampler, seed: int) -> dict[str, float]:
    """Mean metrics of the averaged weights on fixed held-out clips with fixed noise."""
    device = averaged.network.device
    totals: dict[str, float] = {}
    for index in range(VALIDATION_BATCHES):
        generator = seeded_generator(seed, index, VALIDATION_STREAM, device)
        _, metrics = averaged(clips.batch(index).to(device), generator)
        for name, value in metrics.items():
            totals[name] = totals.get(name, 0.0) + value.item() / VALIDATION_BATCHES
    return totals
