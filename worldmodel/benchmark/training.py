"""How fast a world model learns: the training loop itself, on clips of noise."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from itertools import pairwise

import torch

from worldmodel.benchmark.memory import PeakMemory
from worldmodel.benchmark.timing import wait
from worldmodel.episode import Batch
from worldmodel.model.world_model import WorldModel
from worldmodel.training.config import TrainingConfig
from worldmodel.training.processes import choose_precision, make_accelerator
from worldmodel.training.trainer import Trainer

_WARM_UP, _LEAST = 2, 3  # steps


@dataclass(frozen=True)
class TrainingRate:
    """Optimiser steps of `batch` clips of `clip` transitions: forward, own predictions, backward, AdamW and averaging,
    without reading data. frames_per_second counts the transitions learned from; precision as the trainer chose it."""

    batch: int
    clip: int
    threads: int
    precision: str
    steps: int
    seconds_per_step: float
    frames_per_second: float
    peak_bytes: int


def measure_training(model: WorldModel, batch: int, clip: int, seconds: float) -> TrainingRate:
    """Train copies of the weights for about `seconds`, in the number format that `worldmodel train` would take."""
    device = model.device
    clips, memory = noise_clips(model, batch, clip), PeakMemory(device)
    once = _step_seconds(model, clips, _WARM_UP + 1)[-1]
    steps = max(_LEAST, int(seconds / once))
    spent = _step_seconds(model, clips, _WARM_UP + steps)[_WARM_UP:]
    per_step = sum(spent) / len(spent)
    precision = choose_precision("auto", device)
    return TrainingRate(
        batch=batch,
        clip=clip,
        threads=torch.get_num_threads(),
        precision={"no": "float32", "bf16": "bfloat16"}[precision],
        steps=steps,
        seconds_per_step=per_step,
        frames_per_second=batch * clip / per_step,
        peak_bytes=memory.bytes(),
    )


def noise_clips(model: WorldModel, batch: int, clip: int) -> Batch:
    """Clips of noise in the shapes of the model's world."""
    generator = torch.Generator().manual_seed(0)
    shape, actions = model.world.frame_shape, model.world.codec.size
    low, high = model.world.reward_range
    return Batch(
        frames=torch.randint(0, 256, (batch, clip + 1, *shape), dtype=torch.uint8, generator=generator),
        actions=torch.rand((batch, clip, actions), generator=generator) * 2 - 1,
        rewards=torch.rand((batch, clip), generator=generator) * (high - low) + low,
        terminated=torch.zeros((batch, clip), dtype=torch.bool),
        valid=torch.ones((batch, clip), dtype=torch.bool),
        at_start=torch.zeros(batch, dtype=torch.bool),
        importance=torch.ones((batch, clip)),
    )


def _step_seconds(model: WorldModel, clips: Batch, steps: int) -> list[float]:
    """Of each of `steps` optimiser steps."""
    learner, averaged = (copy.deepcopy(model.dynamics.denoiser).float() for _ in range(2))
    accelerator = make_accelerator(str(model.device))
    config = TrainingConfig(steps, len(clips.actions), clips.actions.shape[1], validate_every=steps + 1)
    precision = choose_precision("auto", accelerator.device)
    marks: list[float] = []

    def batches(step: int) -> Batch:
        wait(model.device)
        marks.append(time.perf_counter())
        return clips

    Trainer(learner, averaged, config, accelerator, precision).run(batches, 0, None)
    wait(model.device)
    marks.append(time.perf_counter())
    return [end - start for start, end in pairwise(marks)]
