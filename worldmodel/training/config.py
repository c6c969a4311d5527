"""Numbers of a training run; the YAML under configs/training sets them."""

from __future__ import annotations

from dataclasses import dataclass

from worldmodel.errors import WorldModelError


@dataclass(frozen=True)
class TrainingConfig:
    """steps optimiser steps of batch_size clips of clip_length transitions, end_share of them with a terminated step.

    Learning rate: linear warm-up over warmup_steps, constant, linear decay to zero over the last decay_share of the
    run. ema_decay: of the averaged weights, which are the ones that dream. checkpoint_minutes between two checkpoints;
    validate_every steps; max_minutes (None: no limit) ends this call early with a checkpoint from which the same
    command goes on.
    """

    steps: int
    batch_size: int
    clip_length: int
    end_share: float = 0.1
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup_steps: int = 100
    decay_share: float = 0.4
    gradient_clip: float = 1.0
    ema_decay: float = 0.995
    checkpoint_minutes: float = 1.0
    validate_every: int = 250
    max_minutes: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "clip_length", "validate_every"):
            self._require(
                name, isinstance(getattr(self, name), int) and getattr(self, name) >= 1, "1 or more"
            )
        self._require("seed", isinstance(self.seed, int) and 0 <= self.seed < 2**31, "between 0 and 2**31")
        for name in ("learning_rate", "gradient_clip"):
            value = getattr(self, name)
            self._require(name, isinstance(value, float | int) and 0 < value < 1e6, "a number above 0")
        for name in ("end_share", "decay_share", "ema_decay"):
            value = getattr(self, name)
            self._require(name, isinstance(value, float | int) and 0 <= value <= 1, "between 0 and 1")

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise WorldModelError(f"training.{name} is {getattr(self, name)!r}, expected {expected}.")

    def learning_rate_factor(self, step: int) -> float:
        """Share of learning_rate at this step (0-based)."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        remaining = (self.steps - step) / max(1.0, self.decay_share * self.steps)
        return warm * min(1.0, remaining)
