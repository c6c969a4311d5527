"""The training loop. It takes finished parts and knows no concrete dataset, network or file layout."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor

from worldmodel.episode import Batch
from worldmodel.errors import WorldModelError
from worldmodel.model.denoiser import Denoiser
from worldmodel.progress import progress
from worldmodel.training.config import TrainingConfig
from worldmodel.training.state import seeded_generator

TRAIN_STREAM, VALIDATION_STREAM = 0, 1


@dataclass(frozen=True)
class Hooks:
    """What the loop calls: save(step), log(step, metrics) and validate() -> metrics."""

    save: Callable[[int], None]
    log: Callable[[int, dict[str, float]], None]
    validate: Callable[[], dict[str, float]]


class Trainer:
    """Optimises a denoiser with AdamW; `averaged` follows its weights as their exponential moving average."""

    def __init__(
        self, denoiser: Denoiser, averaged: Denoiser, config: TrainingConfig, accelerator: Accelerator
    ) -> None:
        self.config = config
        self.accelerator = accelerator
        self.averaged = averaged
        self.network = denoiser.network
        optimizer = torch.optim.AdamW(
            denoiser.parameters(), config.learning_rate, betas=(0.9, 0.95), weight_decay=config.weight_decay
        )
        self.denoiser, self.optimizer = accelerator.prepare(denoiser, optimizer)

    def run(self, batches: Callable[[int], Batch], start: int, hooks: Hooks) -> int:
        """Train from step `start` to the last one, or until max_minutes; returns the step reached, which is saved."""
        ema = self._moving_average(start)
        began = saved = time.monotonic()
        step = start
        with progress(total=self.config.steps, initial=start, desc="train", unit="step") as bar:
            try:
                while step < self.config.steps:
                    metrics = self._step(batches(step), step)
                    ema.step(self.network.parameters())
                    step += 1
                    bar.update()
                    if step % 10 == 0:
                        bar.set_postfix(error=f"{metrics['error']:.5f}", refresh=False)
                        hooks.log(step, {f"train/{name}": float(value) for name, value in metrics.items()})
                    if step % self.config.validate_every == 0:
                        self._publish(ema)
                        hooks.log(
                            step, {f"heldout/{name}": value for name, value in hooks.validate().items()}
                        )
                    if time.monotonic() - saved > 60 * self.config.checkpoint_minutes:
                        self._publish(ema)
                        hooks.save(step)
                        saved = time.monotonic()
                    if self._out_of_time(began):
                        break
            finally:  # also when interrupted or stopped: nothing learned is lost
                self._publish(ema)
                if step > start:
                    hooks.save(step)
        return step

    def _step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        device = self.accelerator.device
        generator = seeded_generator(self.config.seed, step, TRAIN_STREAM, device)
        self._set_learning_rate(step)
        loss, metrics = self.denoiser(batch.to(device), generator)
        if not math.isfinite(loss.item()):
            raise WorldModelError(
                f"The loss is {loss.item()} at step {step}; the weights from before it are saved: "
                "lower training.learning_rate and run the same command again."
            )
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.denoiser.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        return metrics

    def _set_learning_rate(self, step: int) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * self.config.learning_rate_factor(step)

    def _moving_average(self, start: int) -> EMAModel:
        ema = EMAModel(self.averaged.network.parameters(), decay=self.config.ema_decay, foreach=True)
        ema.optimization_step = start
        ema.to(self.accelerator.device)
        return ema

    def _publish(self, ema: EMAModel) -> None:
        ema.copy_to(self.averaged.network.parameters())

    def _out_of_time(self, began: float) -> bool:
        limit = self.config.max_minutes
        return limit is not None and time.monotonic() - began > 60 * limit
