"""Numbers of a training run; the YAML under configs/training sets them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingConfig:
    """steps optimiser steps of batch_size clips of clip_length transitions each, end_share of them an episode's end.

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

    def learning_rate_factor(self, step: int) -> float:
        """Share of learning_rate at this step (0-based)."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        remaining = (self.steps - step) / max(1.0, self.decay_share * self.steps)
        return warm * min(1.0, remaining)
