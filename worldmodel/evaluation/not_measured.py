"""What stands in the place of a measurement that could not be made."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NotMeasured:
    """reason: one sentence."""

    reason: str
