"""Whether a metric said of a known fault what it must."""

import math

from worldmodel.evaluation.controls import Check


def check(metric: str, expected: str, value: float, low: float = -math.inf, high: float = math.inf) -> Check:
    """Passed where low <= value <= high; not tried where the value is not a number."""
    if math.isnan(value):
        return not_tried(metric, expected, "the probe is not trusted with what this needs")
    return Check(metric, expected, f"{value:.3g}", bool(low <= value <= high))


def not_tried(metric: str, expected: str, reason: str) -> Check:
    """With the reason."""
    return Check(metric, expected, f"N/A: {reason}", None)
