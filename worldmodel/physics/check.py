"""What a metric said of a known fault."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """metric: "M1" to "M9"; passed None: it could not be tried, and measured says why."""

    metric: str
    expected: str
    measured: str
    passed: bool | None

    def __post_init__(self) -> None:
        if self.passed is not None:
            object.__setattr__(self, "passed", bool(self.passed))  # NumPy's own is no JSON


def check(metric: str, expected: str, value: float, low: float = -math.inf, high: float = math.inf) -> Check:
    """Passed where low <= value <= high; not tried where the value is not a number."""
    if math.isnan(value):
        return not_tried(metric, expected, "the probe is not trusted with what this needs")
    return Check(metric, expected, f"{value:.3g}", low <= value <= high)


def not_tried(metric: str, expected: str, reason: str) -> Check:
    """With the reason."""
    return Check(metric, expected, f"N/A: {reason}", None)
