"""M1, M2, M3 and M5: states, laws and contacts."""

from __future__ import annotations

import numpy as np

from worldmodel.evaluation.statistics import Interval
from worldmodel.physics.measures import HORIZONS, Number
from worldmodel.physics.report_data import PhysicsReport, Split
from worldmodel.physics.rows import COPY, NOISY, SHUFFLED, SIMULATOR
from worldmodel.report import plots
from worldmodel.report.markup import drawing, paragraph
from worldmodel.report.page import Section
from worldmodel.report.physics_words import MODEL_COLOURS, Cells, distrusted, mean_of, number_table, told
from worldmodel.report.plots import Line, line_plot

REFERENCES = {
    SIMULATOR: ("simulator through the probe (floor)", plots.BLUE, ":"),
    NOISY: (NOISY, plots.GREEN, "-."),
    SHUFFLED: (SHUFFLED, plots.GREY, ":"),
    COPY: (COPY, plots.GREY, "--"),
}
NEAR = 1.5  # times the floor


def looks_of(report: PhysicsReport) -> dict[str, tuple[str, str, str]]:
    """Row -> (its name, colour, line style), of the rows that plots show."""
    models = {
        name: (name, MODEL_COLOURS[i % len(MODEL_COLOURS)], "-") for i, name in enumerate(report.models)
    }
    return {**models, **REFERENCES}


def states_section(report: PhysicsReport, split: Split) -> Section:
    """How far from the true state, and for how long."""
    steps = list(range(1, split.horizon + 1))
    lines = []
    for row, (name, colour, style) in looks_of(report).items():
        curve = split.rows[row].curves.get("nrmse") if row in split.rows else None
        if curve:
            means, low, high = ([getattr(point, side) for point in curve] for side in ("mean", "low", "high"))
            band = (low, high) if row in report.models else (None, None)
            lines.append(Line(name, steps, means, colour, style, *band))
    plot = (
        drawing(
            line_plot("nrmse", lines, "imagined steps", "nRMSE (lower is better)"),
            "Root mean square error of the state as the probe reads it, in standard deviations of each feature; "
            "0.5 is "
            "where a dream counts as lost.",
        )
        if lines and "M1" not in report.untrusted
        else ""
    )
    shown = [h for h in HORIZONS if h <= split.horizon]
    columns = [
        ("nrmse", "nRMSE", ".2f"),
        ("nrmse places", "places", ".2f"),
        ("nrmse velocities", "velocities", ".2f"),
    ]
    columns += [(f"nrmse at {h}", f"at step {h}", ".2f") for h in shown]
    columns += [
        ("skill", "skill", ".2f"),
        ("usable", "usable steps", ".0f"),
        ("usable ratio", "of the noisy simulator's", ".2f"),
    ]
    numbers = {name: row.numbers for name, row in split.rows.items()}
    note = (
        "Skill: 1 - nRMSE / nRMSE of the copied frame. Usable steps: until nRMSE exceeds 0.5 for three steps "
        "running, Kaplan-Meier median; the last column is its ratio to the simulator under 10 % action noise."
    )
    return Section(
        "M1, M2: how far from the true state, and for how long",
        paragraph(_verdict(report, split))
        + plot
        + number_table(numbers, columns, split.horizon, note, report.untrusted)
        + paragraph("" if "M1" in report.untrusted else _orders(split)),
    )


def _verdict(report: PhysicsReport, split: Split) -> str:
    if words := distrusted(report.untrusted, "M1"):
        return words
    floor = mean_of(split.rows[SIMULATOR].numbers.get("nrmse"))
    parts = []
    for name in report.models:
        row = split.rows[name].numbers
        value = mean_of(row.get("nrmse"))
        if value is None or floor is None:
            return (
                "The state cannot be read well enough from the pictures here, so its error is not reported."
            )
        better, lasts = _compared(row.get("skill")), told(row.get("usable"), ".0f", split.horizon)
        near = ", which is near what the probe itself misses" if value < NEAR * floor else ""
        parts.append(
            f"{name} is off by {value:.2f} standard deviations over {split.horizon} steps (the probe on true frames: "
            f"{floor:.2f}){near}{better}, and stays usable for {lasts} steps in the median."
        )
    return " ".join(parts)


def _compared(skill: Number | None) -> str:
    if mean_of(skill) is None or not isinstance(skill, Interval):
        return ""
    if skill.low > 0:
        return ", better than a copied frame"
    return ", worse than a copied frame" if skill.high < 0 else ", not to be told from a copied frame"


def _orders(split: Split) -> str:
    stands: list[str] = []
    unclear: list[str] = []
    for order in split.orders:
        pair = f"{order.better} before {order.worse}"
        (stands if order.difference.low > 0 else unclear).append(
            f"{pair} ({order.difference.mean:+.2f}, {order.difference.low:+.2f} to {order.difference.high:+.2f})"
        )
    first = f"By nRMSE, paired on the same moments: {'; '.join(stands)}." if stands else ""
    second = f"Not told apart, or the other way round: {'; '.join(unclear)}." if unclear else ""
    return f"{first} {second}".strip()


def laws_section(report: PhysicsReport, split: Split) -> Section:
    """Energy, momentum and contacts of the probed states."""
    columns = [
        ("energy", "energy kept", ".2f"),
        ("momentum", "momentum kept", ".2f"),
        ("moving", "steps that move", ".0%"),
        ("too deep", "too deep", ".1%"),
        ("unread", "not read", ".1%"),
        ("contact f1", "contact F1", ".2f"),
        ("ghosts", "ghost contacts per 100", ".2f"),
    ]
    numbers = {name: row.numbers for name, row in split.rows.items()}
    note = (
        "Energy and momentum: 1 is as the simulator changes them under the same actions, 0 is off by the mean "
        "true kinetic energy or momentum; a step that moves less than a fifth of the true path scores 0. Too "
        "deep: frames in which bodies overlap more than the simulator's own 99.9 % quantile, of those in which all "
        "places are read. Contact F1: "
        "beginnings and ends of contacts within two frames. Ghosts: in free flight, changes of speed that no "
        "flight shows, per 100 body-frames."
    )
    content = paragraph(_laws(report, split)) + _trace_plots(report, split)
    return Section(
        "M3, M5: energy, momentum, contacts",
        content + number_table(numbers, columns, split.horizon, note, report.untrusted),
    )


def _laws(report: PhysicsReport, split: Split) -> str:
    parts, cells = [], Cells(split.horizon, inline=True)
    for name in report.models:
        row, clauses = split.rows[name].numbers, []
        if mean_of(row.get("energy")) is not None and "M3" not in report.untrusted:
            kept = [cells.number(row.get(measure)) for measure in ("energy", "momentum")]
            clauses.append(f"keeps energy at {kept[0]} and momentum at {kept[1]} of 1")
        if mean_of(row.get("contact f1")) is not None and "M5" not in report.untrusted:
            clauses.append(f"finds contacts with F1 {cells.number(row.get('contact f1'))}")
        if mean_of(row.get("too deep")) is not None and "M5" not in report.untrusted:
            deep = cells.number(row.get("too deep"), ".1%")
            clauses.append(f"lets bodies overlap too deeply in {deep} of the frames")
        parts += [f"{name} {'; '.join(clauses)}."] if clauses else []
    unsure = [words for metric in ("M3", "M5") if (words := distrusted(report.untrusted, metric))]
    if not parts and not unsure:
        return "Contacts need all places, and energies all speeds too, which the probe cannot read here."
    return " ".join([*parts, *unsure])


def _trace_plots(report: PhysicsReport, split: Split) -> str:
    content = ""
    if "M3" in report.untrusted:
        return ""
    for trace, unit in (("energy", "energy (J)"), ("momentum", "momentum (kg m/s)")):
        lines = []
        for row, (name, colour, style) in looks_of(report).items():
            values = split.rows[row].traces.get(trace) if row in split.rows else None
            if values and np.isfinite(values).any():
                lines.append(Line(name, list(range(len(values))), values, colour, style))
        if lines:
            caption = f"Mean {trace} of the probed states over all moments; step 0 is the moment itself."
            content += drawing(line_plot(f"trace-{trace}", lines, "imagined steps", unit), caption)
    return content
