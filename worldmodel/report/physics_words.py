"""Numbers of the physics report in tables and sentences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.evaluation.statistics import Interval
from worldmodel.physics.measures import HORIZONS, Number
from worldmodel.report import plots
from worldmodel.report.markup import paragraph, table

MODEL_COLOURS = (plots.ORANGE, plots.PURPLE, plots.BLUE, plots.GREEN)


# measure -> the metric whose negative controls it must pass. The usable horizon stands and falls with the state error.
METRICS = {
    **dict.fromkeys(("nrmse", "nrmse places", "nrmse velocities", "skill", "usable", "usable ratio"), "M1"),
    **dict.fromkeys((f"nrmse at {step}" for step in HORIZONS), "M1"),
    **dict.fromkeys(("energy", "momentum", "moving"), "M3"),
    **dict.fromkeys(
        ("present", "vanished", "duplicated", "swapped", "freeze bias", "freeze bias back"), "M4"
    ),
    **dict.fromkeys(("too deep", "unread", "contact f1", "ghosts"), "M5"),
    **dict.fromkeys(("cf_r2", "gain", "cosine"), "M6"),
    **dict.fromkeys(("mirror", "parts", "idle", "arrow"), "M7"),
    **dict.fromkeys(("coverage", "ence", "spearman", "silence"), "M8"),
    **dict.fromkeys(("ranking", "bias", "decisions"), "M9"),
}


def distrusted(untrusted: Mapping[str, str], metric: str) -> str:
    """What stands in place of all that would be said by a metric that failed its negative control; else ""."""
    if metric not in untrusted:
        return ""
    return f"{metric} fails its negative {untrusted[metric]}: its numbers are not told."


class Cells:
    """Writes numbers, and remembers why some could not be had, for the note below a table."""

    def __init__(
        self, horizon: int, untrusted: Mapping[str, str] | None = None, inline: bool = False
    ) -> None:
        """untrusted: metric -> the negative control that it failed; inline: for a sentence, not for a table."""
        self._horizon, self._untrusted, self._inline = horizon, untrusted or {}, inline
        self._reasons: dict[str, None] = {}

    def number(self, value: Number | None, form: str = ".2f", measure: str = "") -> str:
        """A mean with its interval; "N/A" for what was not measured, "untrusted" for a measure that failed its
        control."""
        metric = METRICS.get(measure.partition(",")[0], "")
        if metric in self._untrusted:
            self._reasons[f"Untrusted: {metric} fails its negative {self._untrusted[metric]}."] = None
            return "untrusted"
        if value is None:
            return "N/A"
        if isinstance(value, NotMeasured):
            self._reasons[f"N/A: {value.reason}"] = None
            return "N/A"
        mean = self._one(value.mean, form)
        if math.isnan(value.low) or value.low == value.high == value.mean:
            return mean
        low, high = self._one(value.low, form), self._one(value.high, form)
        return f"{mean} ({low} to {high})" if self._inline else f"{mean}\n{low} to {high}"

    def reasons(self) -> str:
        """Every reason once, as HTML."""
        return paragraph(*self._reasons, soft=True)

    def _one(self, value: float, form: str) -> str:
        if math.isinf(value):  # a median that more than half outlast; or one cluster, which tells no spread
            above = f"> {self._horizon}" if form == ".0f" else "inf"
            return above if value > 0 else "-inf"
        return f"{value:{form}}"


def number_table(
    rows: Mapping[str, Mapping[str, Number]],
    columns: Sequence[tuple[str, str, str]],
    horizon: int,
    note: str = "",
    untrusted: Mapping[str, str] | None = None,
    first: str = "row",
) -> str:
    """HTML. columns: (measure, heading, format); note: below the table."""
    cells = Cells(horizon, untrusted)
    empty = [
        column for column in columns if not any(_there(numbers.get(column[0])) for numbers in rows.values())
    ]
    kept = [column for column in columns if column not in empty]
    body = [
        [name, *(cells.number(numbers.get(measure), form, measure) for measure, _, form in kept)]
        for name, numbers in rows.items()
    ]
    absent = _absent({heading: measure for measure, heading, _ in empty}, rows)
    why = "".join(paragraph(reason, soft=True) for reason in absent)
    shown = (
        table([first, *(heading for _, heading, _ in kept)], body, note)
        if kept
        else paragraph(note, soft=True)
    )
    return shown + cells.reasons() + why


def _there(value: Number | None) -> bool:
    return value is not None and not isinstance(value, NotMeasured)


def _absent(columns: Mapping[str, str], rows: Mapping[str, Mapping[str, Number]]) -> list[str]:
    """Of columns (heading -> measure) in which nothing stands: the reasons, each once for all that it holds of."""
    headings: dict[str, list[str]] = {}
    for heading, measure in columns.items():
        values = (numbers.get(measure) for numbers in rows.values())
        reasons = dict.fromkeys(value.reason for value in values if isinstance(value, NotMeasured))
        headings.setdefault(" ".join(reasons), []).append(heading)
    return [f"N/A: {', '.join(names)}. {reason}".rstrip() for reason, names in headings.items()]


def sentence(parts: Iterable[str]) -> str:
    """Clauses joined by semicolons, with a full stop."""
    text = "; ".join(part for part in parts if part)
    return f"{text}." if text else ""


def told(value: Number | None, form: str = ".2f", horizon: int = 0) -> str:
    """A number for a sentence."""
    return Cells(horizon, inline=True).number(value, form)


def mean_of(value: Number | None) -> float | None:
    """The mean, where it is one."""
    return value.mean if isinstance(value, Interval) and not math.isnan(value.mean) else None
