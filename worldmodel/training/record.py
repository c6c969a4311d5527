"""What a training run leaves in its folder: last and best checkpoint, the tensorboard log, and what it has cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn
from torch.utils.tensorboard import SummaryWriter

from worldmodel.training.budget import Budget
from worldmodel.training.optimizer import MuonAdamW
from worldmodel.training.state import JUDGED_BY, best_loss, save_best, save_training
from worldmodel.training.trainer import Hooks
from worldmodel.training.validation import Validation


class Record:
    """Writes into the run folder `folder` what the training of `network` yields; a context manager.

    start: the step that training goes on from. A killed run may have logged steps beyond it, and these are hidden.
    """

    def __init__(
        self, folder: Path, validation: Validation, network: nn.Module, optimizer: MuonAdamW, start: int
    ) -> None:
        self._folder, self._validation = folder, validation
        self._network, self._optimizer = network, optimizer
        self._best = best_loss(folder)
        self._budget = Budget(folder, start)
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=start + 1 if start else 0)

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()

    @property
    def hooks(self) -> Hooks:
        """For Trainer.run."""
        return Hooks(save=self._save, log=self._log, validate=self._validate)

    def _save(self, step: int) -> None:
        save_training(self._folder, step, self._validation.model, self._network, self._optimizer)
        self._budget.reached(step)

    def _log(self, step: int, metrics: Mapping[str, float], prefix: str = "train") -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(f"{prefix}/{name}", value, step)

    def _validate(self, step: int) -> None:
        metrics = self._validation.metrics()
        self._log(step, metrics, "validation")
        picture = self._validation.picture()
        if picture is not None:
            self._writer.add_image("validation/true_above_dreamt", picture, step, dataformats="HWC")
        self._writer.flush()
        if metrics[JUDGED_BY] < self._best:
            save_best(self._folder, step, self._validation.model, metrics)
            self._best = metrics[JUDGED_BY]
