"""Numbers of the physics report in tables, with the reasons of those that could not be had."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.evaluation.rows.measures import HORIZONS, Number
from worldmodel.report.page import paragraph, table

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
    **dict.fromkeys(("coverage", "ence", "spearman", "risk", "silence"), "M8"),
    **dict.fromkeys(("ranking", "bias", "decisions"), "M9"),
}


class Cells:
    """Writes numbers, and remembers why some could not be had, for the note below a table."""

    def __init__(self, horizon: int, untrusted: Mapping[str, str]) -> None:
        """untrusted: metric -> the negative control that it failed."""
        self._horizon, self._untrusted = horizon, untrusted
        self._reasons: dict[str, None] = {}

    def number(self, value: Number | None, form: str = ".2f", measure: str = "") -> str:
        """A mean with its interval; "N/A" for what was not measured, "untrusted" for a measure that failed its
        control."""
        metric = METRICS.get(measure.partition(",")[0]) or METRICS.get(measure.partition(" ")[0], "")
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
        return f"{mean}\n{low} to {high}"

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
    untrusted: Mapping[str, str],
    note: str = "",
    first: str = "row",
) -> Markup:
    """columns: (measure, heading, format); those in which nothing stands are left out, with the reasons below."""
    cells, absent, kept = Cells(horizon, untrusted), {}, []  # type: ignore[var-annotated]
    for column in columns:
        values = [numbers.get(column[0]) for numbers in rows.values()]
        if all(value is None or isinstance(value, NotMeasured) for value in values):
            reasons = dict.fromkeys(value.reason for value in values if isinstance(value, NotMeasured))
            absent.setdefault(" ".join(reasons), []).append(column[1])
        else:
            kept.append(column)
    body = [
        [name, *(cells.number(numbers.get(measure), form, measure) for measure, _, form in kept)]
        for name, numbers in rows.items()
    ]
    shown = (
        table([first, *(heading for _, heading, _ in kept)], body, note)
        if kept
        else paragraph(note, soft=True)
    )
    why = [f"N/A: {', '.join(names)}. {reason}".rstrip() for reason, names in absent.items()]
    return Markup(shown + cells.reasons() + "".join(paragraph(text, soft=True) for text in why))
