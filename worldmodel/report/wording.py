"""Numbers as text; a dash where there is none."""

from __future__ import annotations

import math

from worldmodel.evaluation.statistics import Interval


def decimal(value: float | None, form: str = ".1f") -> str:
    """A number in this format."""
    return "-" if value is None or math.isnan(value) else f"{value:{form}}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share in per cent."""
    return decimal(value, f".{digits}%")


def between(interval: Interval | None, form: str = ".2f") -> str:
    """A value with its interval."""
    if interval is None or math.isnan(interval.mean):
        return "-"
    return f"{interval.mean:{form}} ({interval.low:{form}} to {interval.high:{form}})"


def sample_horizons(horizon: int) -> list[int]:
    """The horizons that tables show: powers of two, and the last."""
    powers = [2**i for i in range(horizon.bit_length()) if 2**i <= horizon]
    return powers if powers[-1] == horizon else [*powers, horizon]


def rate(value: float) -> str:
    """A rate with about three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def times(factor: float) -> str:
    """How many times as much."""
    return f"{factor:,.0f} times" if factor >= 10 else f"{factor:.1f} times"
