"""The training loop. It takes finished parts and knows no concrete dataset, network or file layout."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor

from worldmodel.episode import Batch
from worldmodel.errors import WorldModelError
from worldmodel.model.denoiser import Denoiser
from worldmodel.noise import BatchNoise, seeded_generator
from worldmodel.progress import progress
from worldmodel.training.config import TrainingConfig
from worldmodel.training.optimizer import MuonAdamW
from worldmodel.training.stopping import StopRequest

if TYPE_CHECKING:
    from tqdm import tqdm

LOG_EVERY = 10  # steps
TRAIN_STREAM = 0


@dataclass(frozen=True)
class Hooks:
    """What the loop calls: save(step), log(step, metrics) and validate(step), which reads the averaged weights."""

    save: Callable[[int], object]
    log: Callable[[int, Mapping[str, float]], object]
    validate: Callable[[int], object]


class Trainer:
    """Optimises a denoiser; `averaged` follows its weights as their exponential moving average.

    On several processes each computes its own clips' gradients, and their mean is what every one of them steps by.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        averaged: Denoiser,
        config: TrainingConfig,
        accelerator: Accelerator,
        precision: str = "no",
    ) -> None:
        self.config = config
        self.accelerator = accelerator
        self.precision = precision
        self.averaged = averaged.to(accelerator.device)
        self.network = denoiser.network
        self.denoiser = accelerator.prepare(denoiser)  # on its device, before the optimiser takes views of it
        self.optimizer = MuonAdamW(
            self.network, config.learning_rate, config.weight_decay, kind=config.optimizer
        )

    def run(self, batches: Callable[[int], Batch], start: int, hooks: Hooks | None) -> int:
        """Train from step `start` to the last one, or until stopped; returns the step reached, which is saved.

        batches: from a step to this process's clips; hooks: None on all processes but the main one. Ctrl-C and SIGTERM
        end the training after the step at work, which is saved, and raise KeyboardInterrupt.
        """
        self.step = self.saved = start
        self.updating = False
        self.ema = self._moving_average(start)
        silent, alone = hooks is None, self.accelerator.num_processes == 1
        with (
            progress(
                total=self.config.steps, initial=start, desc="train", unit="step", disable=silent
            ) as bar,
            StopRequest(self.config.max_minutes, alone) as stop,
        ):
            try:
                self._loop(batches, hooks, stop, bar)
            finally:  # also when interrupted or stopped: nothing learned is lost
                self._save(hooks)
        self.accelerator.wait_for_everyone()  # the checkpoint is there for all
        if stop.signalled:
            raise KeyboardInterrupt
        return self.step

    def _loop(
        self,
        batches: Callable[[int], Batch],
        hooks: Hooks | None,
        stop: StopRequest,
        bar: tqdm[Any],
    ) -> None:
        config, last_save = self.config, time.monotonic()
        busy, stopped = 0.0, False
        while self.step < config.steps and not stopped:
            began = time.monotonic()
            metrics, stopped = self._update(batches(self.step), stop.due)
            busy += time.monotonic() - began
            bar.update()
            if self.step % LOG_EVERY == 0:
                self._log(metrics, busy, hooks, bar)
                busy = 0.0
            if hooks and (self.step % config.validate_every == 0 or self.step == config.steps):
                self.ema.copy_to(self.averaged.network.parameters())
                hooks.validate(self.step)
            if time.monotonic() - last_save > 60 * config.checkpoint_minutes:
                self._save(hooks)
                last_save = time.monotonic()

    def _update(self, batch: Batch, stopping: bool) -> tuple[dict[str, Tensor], bool]:
        """One optimiser step: its metrics for this process's clips, and whether any process wants to stop after it."""
        device = self.accelerator.device
        generator = seeded_generator(self.config.seed, self.step, TRAIN_STREAM, device)
        draw = BatchNoise(generator, self.accelerator.process_index, self.accelerator.num_processes)
        rate = self._set_learning_rate(self.step)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            loss, metrics = self.denoiser(batch.to(device), draw)
        self.network.zero_grad()
        self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_(self.denoiser.parameters(), self.config.gradient_clip)
        stopped = self._agree(loss, norm, stopping)
        self.updating = True
        self.optimizer.step()
        self.ema.step(self.network.parameters())
        self.step += 1
        self.updating = False
        return metrics | {"gradient_norm": norm, "learning_rate": torch.tensor(rate)}, stopped

    def _agree(self, loss: Tensor, norm: Tensor, stopping: bool) -> bool:
        """What all processes do alike: go on, stop after this step, or, before it spoils the weights, raise."""
        report = torch.stack([loss.detach(), norm, torch.tensor(float(stopping), device=loss.device)])
        loss_value, norm_value, wish = self.accelerator.reduce(report, "mean").tolist()
        if not (math.isfinite(loss_value) and math.isfinite(norm_value)):
            raise WorldModelError(
                f"The loss is {loss_value} and its gradient {norm_value} at step {self.step}; the weights from before "
                "it are saved: run the same command with a lower train.learning_rate."
            )
        return wish > 0

    def _log(
        self, metrics: Mapping[str, Tensor], seconds: float, hooks: Hooks | None, bar: tqdm[Any]
    ) -> None:
        """Means over the clips of all processes, and the speed of the last LOG_EVERY steps."""
        device = self.accelerator.device
        stacked = torch.stack([value.to(device, torch.float32) for value in metrics.values()])
        values = dict(zip(metrics, self.accelerator.reduce(stacked, "mean").tolist(), strict=True))
        frames = LOG_EVERY * self.config.batch_size * self.config.clip_length
        if hooks:
            bar.set_postfix(error=f"{values['error']:.5f}", refresh=False)
            hooks.log(self.step, values | {"frames_per_second": frames / seconds})

    def _save(self, hooks: Hooks | None) -> None:
        """Save the current step once; a step interrupted halfway through its update is not one."""
        if hooks and self.step > self.saved and not self.updating:
            self.ema.copy_to(self.averaged.network.parameters())
            hooks.save(self.step)
            self.saved = self.step

    def _set_learning_rate(self, step: int) -> float:
        rate = self.config.learning_rate * self.config.learning_rate_factor(step)
        self.optimizer.set_learning_rate(rate)
        return rate

    def _moving_average(self, start: int) -> EMAModel:
        ema = EMAModel(self.averaged.network.parameters(), decay=self.config.ema_decay, foreach=True)
        ema.optimization_step = start
        ema.to(self.accelerator.device)
        return ema
