"""Settings of a training run; the YAML under configs/train sets them."""

from __future__ import annotations

from dataclasses import dataclass

from worldmodel.errors import WorldModelError

OPTIMIZERS = ("muon", "adamw")
PRECISIONS = ("auto", "no", "bf16")


@dataclass(frozen=True)
class TrainingConfig:
    """steps optimiser steps of batch_size clips of clip_length transitions, end_share of them with a terminated step.

    batch_size counts the clips of all processes together. optimizer: "muon", with AdamW where it does not apply (see
    MuonAdamW), or "adamw". Learning rate: linear warm-up over warmup_steps, constant, linear decay to zero over the
    last decay_share of the run. Gradients are scaled down to the norm gradient_clip. ema_decay: of the averaged
    weights, which are the ones that dream. mixed_precision: "no" (float32), "bf16", or "auto": bf16 where the device
    multiplies it natively. checkpoint_minutes between two checkpoints; validate_every steps; max_minutes (None: no
    limit) ends this call early with a checkpoint from which the same command goes on.
    """

    steps: int
    batch_size: int
    clip_length: int
    end_share: float = 0.1
    optimizer: str = "muon"
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup_steps: int = 100
    decay_share: float = 0.4
    gradient_clip: float = 1.0
    ema_decay: float = 0.995
    mixed_precision: str = "auto"
    checkpoint_minutes: float = 1.0
    validate_every: int = 250
    max_minutes: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "clip_length", "validate_every"):
            self._require(name, _is_whole(getattr(self, name)) and getattr(self, name) >= 1, "1 or more")
        self._require("seed", _is_whole(self.seed) and 0 <= self.seed < 2**31, "between 0 and 2**31")
        for name in ("learning_rate", "gradient_clip"):
            value = getattr(self, name)
            self._require(name, _is_number(value) and 0 < value < 1e6, "a number above 0")
        for name in ("end_share", "decay_share", "ema_decay"):
            value = getattr(self, name)
            self._require(name, _is_number(value) and 0 <= value <= 1, "between 0 and 1")
        for name in ("weight_decay", "warmup_steps", "checkpoint_minutes", "max_minutes"):
            value = getattr(self, name)
            absent = name == "max_minutes" and value is None
            self._require(name, absent or (_is_number(value) and value >= 0), "a number, 0 or more")
        self._require("optimizer", self.optimizer in OPTIMIZERS, " or ".join(OPTIMIZERS))
        self._require("mixed_precision", self.mixed_precision in PRECISIONS, " or ".join(PRECISIONS))

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise WorldModelError(f"train.{name} is {getattr(self, name)!r}, expected {expected}.")

    def learning_rate_factor(self, step: int) -> float:
        """Share of learning_rate at this step (0-based)."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        remaining = (self.steps - step) / max(1.0, self.decay_share * self.steps)
        return warm * min(1.0, remaining)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)
