"""Reset options of a scene: defaults, training and out-of-distribution ranges, and their checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from worldmodel.errors import EnvError

Value = float | tuple[float, ...]


@dataclass(frozen=True)
class Range:
    """One reset option: `size` numbers (1: a plain number), each between the ends of `outside`.

    `training` is where training episodes come from; values in `outside` but not in `training` are out of distribution.
    `default` is what an episode without the option gets; None means that reset draws it at random.
    """

    default: Value | None
    training: tuple[float, float]
    outside: tuple[float, float]
    unit: str
    meaning: str
    size: int = 1

    def check(self, name: str, value: Any) -> Value:
        """The value as float or tuple of floats. Raises EnvError with the expected size and range."""
        what = "a number" if self.size == 1 else f"{self.size} numbers"
        low, high = self.outside
        expected = f"option {name!r} must be {what} from {low:g} to {high:g} [{self.unit}]"
        try:
            array = np.asarray(value, np.float64)
        except (TypeError, ValueError):
            raise EnvError(f"{expected}, got {value!r}.") from None
        if array.shape != (() if self.size == 1 else (self.size,)):
            raise EnvError(f"{expected}, got {value!r}.")
        if not (np.isfinite(array) & (array >= low) & (array <= high)).all():
            raise EnvError(f"{expected}, got {value!r}.")
        return float(array) if self.size == 1 else tuple(float(x) for x in array)


def resolve(ranges: Mapping[str, Range], options: Mapping[str, Any] | None) -> dict[str, Value | None]:
    """Every option's value for one episode: the checked value given, else the default.

    Raises EnvError for an unknown option (listing the valid ones) and for a value out of range.
    """
    options = {} if options is None else options
    unknown = sorted(set(options) - set(ranges))
    if unknown:
        raise EnvError(f"unknown reset option {unknown[0]!r}; valid options are: {', '.join(ranges)}.")
    return {
        name: r.check(name, options[name]) if name in options else r.default for name, r in ranges.items()
    }
