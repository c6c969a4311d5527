"""M6 and M7: does it answer to actions, and is it the same in a mirror and in parts?"""

from __future__ import annotations

from worldmodel.physics.report_data import Fan, PhysicsReport
from worldmodel.report.markup import drawing, film, paragraph
from worldmodel.report.page import Section
from worldmodel.report.panels import grid
from worldmodel.report.physics_states import looks_of
from worldmodel.report.physics_words import Cells, distrusted, mean_of, number_table, sentence
from worldmodel.report.plots import Line, line_plot
from worldmodel.report.video import encode_png


def answers_section(report: PhysicsReport) -> Section:
    """CF-R2 of all rows, by step, and fans of futures."""
    columns = [("cf_r2", "CF-R2", ".2f"), ("gain", "gain", ".2f"), ("cosine", "cosine", ".2f")]
    steps = report.config.branch_steps
    numbers = {name: answer.numbers for name, answer in report.answers.items()}
    note = (
        f"{report.answered} moments, each continued under eight action sequences (none, the recorded one, six "
        f"random ones) for {steps} steps with the same noise. CF-R2 = 1 - sum |dreamt difference - true "
        "difference|^2 / sum |true difference|^2 over all pairs: 1 is right, 0 deaf to actions, -1 another's "
        "actions. Gain: how much futures part, relative to truth."
    )
    lines = []
    for row, (name, colour, style) in looks_of(report).items():
        curve = report.answers[row].curve if row in report.answers else []
        if curve:
            points = [max(-1.5, point.mean) for point in curve]
            lines.append(Line(name, list(range(1, len(points) + 1)), points, colour, style))
    plot = (
        drawing(
            line_plot("cf-r2", lines, "imagined steps", "CF-R2 (1 is right)"), "CF-R2 by step, cut at -1.5."
        )
        if lines and "M6" not in report.untrusted
        else ""
    )
    fans = "".join(_fan(fan) for fan in report.fans)
    return Section(
        "M6: does it answer to actions?",
        paragraph(_verdict(report))
        + plot
        + number_table(numbers, columns, steps, note, report.untrusted)
        + fans,
    )


def _verdict(report: PhysicsReport) -> str:
    if words := distrusted(report.untrusted, "M6"):
        return words
    parts, cells = [], Cells(report.config.branch_steps, inline=True)
    for name in report.models:
        row = report.answers[name].numbers
        value = mean_of(row.get("cf_r2"))
        if value is None:
            return "Without readable states the answer to actions cannot be measured."
        verdict = (
            "answers to actions as the simulator does"
            if value > 0.9
            else "answers to actions, though not exactly"
            if value > 0.4
            else "hardly answers to actions"
            if value > -0.2
            else "answers to actions wrongly"
        )
        parts.append(
            f"{name} {verdict}: CF-R2 {cells.number(row.get('cf_r2'))}, gain {cells.number(row.get('gain'))}, cosine "
            f"{cells.number(row.get('cosine'))}"
        )
    return sentence(parts)


def _fan(fan: Fan) -> str:
    rows = {"simulator": fan.simulator, **fan.models}
    videos = [[frame[None] for frame in frames] for frames in rows.values()]
    columns = ["none", "recorded", *(f"random {i + 1}" for i in range(len(fan.simulator) - 2))]
    picture = grid(videos, columns, list(rows), panel=96)[0]
    return film(
        None, encode_png(picture), f"Eight futures of one moment after {fan.step} steps, real above dreamt."
    )


def symmetry_section(report: PhysicsReport) -> Section:
    """M7 of every model."""
    columns = [
        ("mirror", "mirrored", ".2f"),
        ("parts", "2 x 10 against 1 x 20 steps", ".2f"),
        ("idle", "after idle steps", ".2f"),
        ("arrow", "backwards / forwards", ".2f"),
    ]
    numbers = {name: found.symmetry for name, found in report.findings.items()}
    note = (
        "nRMSE of places between the dream and its mirror image's dream, mirrored back; between one dream of 20 "
        "steps and two of 10, the second begun from the first's frames; from the truth at the last of 100 steps "
        "(of the horizon, in a smoke test) without actions. Last: nRMSE of the future read backwards over that "
        "read forwards, which must exceed 1. A dream that stands still is the same in a mirror and in parts: "
        "read the first two beside M1."
    )
    arrows = {name: mean_of(found.symmetry.get("arrow")) for name, found in report.findings.items()}
    measured = {name: value for name, value in arrows.items() if value is not None}
    backwards = [name for name, value in measured.items() if value <= 1.0]
    words = distrusted(report.untrusted, "M7")
    if backwards and not words:
        words = (
            f"Time has no direction in dreams of {', '.join(backwards)}: read backwards they are no worse."
        )
    elif measured and not words:
        words = "Read backwards every dream is further from the truth, as it must be."
    return Section(
        "M7: mirrors, parts, rest and time",
        paragraph(words)
        + number_table(numbers, columns, report.config.horizon, note, report.untrusted, "model"),
    )
