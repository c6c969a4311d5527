"""What is written down while an agent learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One rollout and update, a point of the learning curve.

    frames: steps of all worlds so far; seconds so far; reward: mean per step as the world gave it, no penalty in it;
    terminations: share of steps that ended an episode; policy_loss, value_loss, entropy, kl: means over the update (see
    ppo_loss); uncertainty: mean expected error of the imagined frames in grey levels, None where it is not known;
    penalty: what was taken from the reward for each grey level of it; busy: seconds that the rollout and the update
    took, inside: how many of them were spent in the world model (or in the environments).
    """

    frames: int
    seconds: float
    reward: float
    terminations: float
    policy_loss: float
    value_loss: float
    entropy: float
    kl: float
    uncertainty: float | None = None
    penalty: float = 0.0
    busy: float = 0.0
    inside: float = 0.0


def share_outside(rows: Sequence[Row]) -> float | None:
    """Share of the learning time that was spent outside the world model (or the environments); None if not known."""
    busy = sum(row.busy for row in rows)
    return 1 - sum(row.inside for row in rows) / busy if busy else None
