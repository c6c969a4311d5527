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
    """One reset option: `size` numbers (1: a plain number), whole ones if so said, each within the ends of `outside`.

    `default` is what an episode without the option gets; None means that reset draws it at random. `training` is
    where training episodes come from, None: the default alone. Values in `outside` but not in `training` are out of
    distribution.
    """

    default: Value | None
    training: tuple[float, float] | None
    outside: tuple[float, float]
    unit: str
    meaning: str
    size: int = 1
    whole: bool = False

    def check(self, name: str, value: Any) -> Value:
        """The value as float or tuple of floats. Raises EnvError with the expected size and range."""
        kind = "whole number" if self.whole else "number"
        what = f"a {kind}" if self.size == 1 else f"{self.size} {kind}s"
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
        if self.whole and (array % 1 != 0).any():
            raise EnvError(f"{expected}, got {value!r}.")
        return float(array) if self.size == 1 else tuple(float(x) for x in array)

    def value(self, given: Value | None, rng: np.random.Generator) -> Value:
        """The given value, else one drawn uniformly from the training range (always drawn: options must not shift
        what `rng` gives to others)."""
        low, high = self.training or (0.0, 0.0)
        drawn = rng.uniform(low, high, self.size)
        if given is not None:
            return given
        return float(drawn[0]) if self.size == 1 else tuple(float(x) for x in drawn)

    def in_training(self, value: Value | None) -> bool:
        """Whether training episodes may have this value (None: drawn at random)."""
        if value is None or self.training is None:
            return value == self.default
        low, high = self.training
        return bool(np.all((np.asarray(value) >= low) & (np.asarray(value) <= high)))


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


def fixed(default: float, outside: tuple[float, float], unit: str, meaning: str) -> Range:
    """A number that training never varies."""
    return Range(default, None, outside, unit, meaning)


def vector(
    default: tuple[float, float] | None, training: float, outside: float, unit: str, meaning: str
) -> Range:
    """Two numbers, each at most `training` (`outside`: anyhow) in size."""
    return Range(default, (-training, training), (-outside, outside), unit, meaning, size=2)


def colour(default: tuple[float, float, float], meaning: str) -> Range:
    """Red, green and blue, each from 0 to 1."""
    return Range(default, None, (0.0, 1.0), "rgb", meaning, size=3)
