"""Reset options of a scene: defaults, training and out-of-distribution ranges, and their checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


class Options:
    """A scene's reset options over many episodes: `fixed` replaces defaults, `vary` draws some anew in every episode.

    vary: name -> (low, high), drawn uniformly in between. Raises EnvError for what `ranges` does not allow.
    """

    def __init__(
        self,
        ranges: Mapping[str, Range],
        fixed: Mapping[str, Any] | None = None,
        vary: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        self._ranges = ranges
        self._fixed = resolve(ranges, fixed)
        self._vary = {name: _ends(ranges, name, ends) for name, ends in sorted((vary or {}).items())}

    @property
    def defaults(self) -> dict[str, Value | None]:
        """What an episode has without options, where nothing varies."""
        return dict(self._fixed)

    def choose(self, given: Mapping[str, Any] | None, rng: np.random.Generator) -> dict[str, Value | None]:
        """Every option's value for one episode: the given one, else one drawn, else the fixed one."""
        drawn = {name: self._draw(name, *ends, rng) for name, ends in self._vary.items()}
        return {**self._fixed, **drawn, **{name: resolve(self._ranges, given)[name] for name in given or ()}}

    def _draw(self, name: str, low: float, high: float, rng: np.random.Generator) -> Value:
        entry = self._ranges[name]
        values = rng.uniform(low, high, entry.size)
        if entry.whole:
            values = rng.integers(int(low), int(high) + 1, entry.size).astype(float)
        return float(values[0]) if entry.size == 1 else tuple(values.tolist())


def _ends(ranges: Mapping[str, Range], name: str, ends: Sequence[float]) -> tuple[float, float]:
    size = ranges[name].size if name in ranges else 1
    try:
        low, high = ends
    except (TypeError, ValueError):
        raise EnvError(
            f"vary of option {name!r} must be its lowest and highest value, got {ends!r}."
        ) from None
    for end in (low, high):
        resolve(ranges, {name: end if size == 1 else [end] * size})
    if low > high:
        raise EnvError(f"vary of option {name!r} must be its lowest and highest value, got {ends!r}.")
    return float(low), float(high)


def resolve(ranges: Mapping[str, Range], options: Mapping[str, Any] | None) -> dict[str, Value | None]:
    """Every option's value: the checked value given, else the default.

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
    """Two numbers, each at most `training` (0: the default alone) and anyhow at most `outside` in size."""
    inside = (-training, training) if training else None
    return Range(default, inside, (-outside, outside), unit, meaning, size=2)


def colour(default: tuple[float, float, float], meaning: str) -> Range:
    """Red, green and blue, each from 0 to 1."""
    return Range(default, None, (0.0, 1.0), "rgb", meaning, size=3)
