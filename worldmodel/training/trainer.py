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

    save: Callable[[int], object]
    log: Callable[[int, dict[str, float]], None]
    validate: Callable[[], dict[str, float]]


class Trainer:
    """Optimises a denoiser with AdamW; `averaged` follows its weights as their exponential moving average."""

    def __init__(
        self, denoiser: Denoiser, averaged: Denoiser, config: TrainingConfig, accelerator: Accelerator
    ) -> None:
        self.config = config
        self.accelerator = accelerator
        self.averaged = averaged.to(accelerator.device)
        self.network = denoiser.network
        optimizer = torch.optim.AdamW(
            denoiser.parameters(), config.learning_rate, betas=(0.9, 0.95), weight_decay=config.weight_decay
        )
        self.denoiser, self.optimizer = accelerator.prepare(denoiser, optimizer)

    def run(self, batches: Callable[[int], Batch], start: int, hooks: Hooks) -> int:
        """Train from step `start` to the last one, or until max_minutes; returns the step reached, which is saved."""
        self.step = self.saved = start
        self.updating = False
        ema = self._moving_average(start)
        began = last_save = time.monotonic()
        with progress(total=self.config.steps, initial=start, desc="train", unit="step") as bar:
            try:
                while self.step < self.config.steps:
                    metrics = self._update(batches(self.step), ema)
                    bar.update()
                    if self.step % 10 == 0:
                        bar.set_postfix(error=f"{metrics['error']:.5f}", refresh=False)
                        hooks.log(self.step, {f"train/{k}": float(value) for k, value in metrics.items()})
                    if self.step % self.config.validate_every == 0:
                        ema.copy_to(self.averaged.network.parameters())
                        hooks.log(self.step, {f"heldout/{k}": value for k, value in hooks.validate().items()})
                    if time.monotonic() - last_save > 60 * self.config.checkpoint_minutes:
                        self._save(ema, hooks)
                        last_save = time.monotonic()
                    if self._out_of_time(began):
                        break
            finally:  # also when interrupted or stopped: nothing learned is lost
                self._save(ema, hooks)
        return self.step

    def _update(self, batch: Batch, ema: EMAModel) -> dict[str, Tensor]:
        device = self.accelerator.device
        generator = seeded_generator(self.config.seed, self.step, TRAIN_STREAM, device)
        self._set_learning_rate(self.step)
        loss, metrics = self.denoiser(batch.to(device), generator)
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_(self.denoiser.parameters(), self.config.gradient_clip)
        self._check_finite(loss.item(), float(norm))
        self.updating = True
        self.optimizer.step()
        ema.step(self.network.parameters())
        self.step += 1
        self.updating = False
        return metrics

    def _check_finite(self, loss: float, norm: float) -> None:
        """Before the optimiser step, so that the weights stay those of the last good step."""
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise WorldModelError(
                f"The loss is {loss} and its gradient {norm} at step {self.step}; the weights from before it are "
                "saved: run the same command with a lower training.learning_rate."
            )

    def _save(self, ema: EMAModel, hooks: Hooks) -> None:
        """Save the current step once; a step interrupted halfway through its update is not one."""
        if self.step > self.saved and not self.updating:
            ema.copy_to(self.averaged.network.parameters())
            hooks.save(self.step)
            self.saved = self.step

    def _set_learning_rate(self, step: int) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * self.config.learning_rate_factor(step)

    def _moving_average(self, start: int) -> EMAModel:
        ema = EMAModel(self.averaged.network.parameters(), decay=self.config.ema_decay, foreach=True)
        ema.optimization_step = start
        ema.to(self.accelerator.device)
        return ema

    def _out_of_time(self, began: float) -> bool:
        limit = self.config.max_minutes
        return limit is not None and time.monotonic() - began > 60 * limit
