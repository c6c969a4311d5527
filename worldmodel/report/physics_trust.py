"""M8: does it know when it errs?"""

from __future__ import annotations

from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.physics.report_data import PhysicsReport
from worldmodel.physics.trust import COVERS, Spread, Warned
from worldmodel.report import plots
from worldmodel.report.markup import drawing, paragraph, table
from worldmodel.report.page import Section
from worldmodel.report.physics_words import MODEL_COLOURS, Cells, distrusted
from worldmodel.report.plots import Line, line_plot


def trust_section(report: PhysicsReport) -> Section:
    """Spread of samples, told uncertainty, risk-coverage and the silence test."""
    spreads = {n: f.spread for n, f in report.findings.items() if isinstance(f.spread, Spread)}
    warned = {n: f.warned for n, f in report.findings.items() if isinstance(f.warned, Warned)}
    why = [
        f"{name}: {part.reason}"
        for name, found in report.findings.items()
        for part in (found.spread, found.warned)
        if isinstance(part, NotMeasured)
    ]
    words = [*(_spread_words(n, s) for n, s in spreads.items())]
    words += [_warn_words(n, w) for n, w in warned.items()]
    doubt = distrusted(report.untrusted, "M8")
    content = paragraph(doubt) if doubt else paragraph(*words) + _reliability(spreads) + _risk(warned)
    content += _table(report, spreads, warned)
    return Section("M8: does it know when it errs?", content + paragraph(*why, soft=True))


def _spread_words(name: str, spread: Spread) -> str:
    verdict = "spread about as they err"
    if spread.coverage[0.9].mean < 0.8:
        verdict = "spread less than they err"
    elif spread.coverage[0.5].mean > 0.7:
        verdict = "spread more than they err"
    return (
        f"Dreams of {name} that differ by their noise alone {verdict}: their 50 % intervals hold the true state in "
        f"{spread.coverage[0.5].mean:.0%} and their 90 % intervals in {spread.coverage[0.9].mean:.0%} of the cases."
    )


def _warn_words(name: str, warned: Warned) -> str:
    if warned.spearman is None:
        return f"{name} tells a constant uncertainty, which warns of nothing."
    silence = warned.silence
    flagged = (
        f"; of the dreams that lose the state, {silence.flagged.mean:.0%} are flagged at 5 % false alarms"
        if silence.flagged is not None
        else f"; the silence test says nothing ({silence.why})"
    )
    value = f"{warned.spearman.mean:.2f}"
    return f"The uncertainty that {name} tells has a rank correlation of {value} with its error{flagged}."


def _reliability(spreads: dict[str, Spread]) -> str:
    if not spreads:
        return ""
    lines, top = [], 0.0
    for i, (name, spread) in enumerate(spreads.items()):
        points = sorted(spread.bins)
        lines.append(Line(name, [a for a, _ in points], [b for _, b in points], MODEL_COLOURS[i % 4], "o-"))
        top = max(top, *(max(point) for point in points))
    lines.append(Line("as told", [0.0, top], [0.0, top], plots.GREY, "--"))
    return drawing(
        line_plot(
            "reliability",
            lines,
            "told: distance of two samples (sigmas)",
            "found: distance from the truth",
            whole=False,
        ),
        "Reliability: on the dashed line samples are as far from the truth as from each other; above, too sure.",
    )


def _risk(warned: dict[str, Warned]) -> str:
    lines = []
    for i, (name, found) in enumerate(warned.items()):
        shares = [10.0 * (k + 1) for k in range(len(found.risk))]
        lines.append(Line(name, shares, found.risk, MODEL_COLOURS[i % 4]))
        lines.append(Line(f"{name}, errors known", shares, found.best_risk, MODEL_COLOURS[i % 4], ":"))
    if not lines:
        return ""
    return drawing(
        line_plot("risk", lines, "most certain steps kept (%)", "their mean error"),
        "Risk and coverage: the mean error of the most certain steps; dotted, if it knew its errors.",
    )


def _table(report: PhysicsReport, spreads: dict[str, Spread], warned: dict[str, Warned]) -> str:
    cells, rows = Cells(report.config.horizon, report.untrusted), []
    for name in report.findings:
        spread, found = spreads.get(name), warned.get(name)
        rows.append(
            [
                name,
                *(
                    cells.number(spread.coverage[level] if spread else None, ".0%", "coverage")
                    for level in COVERS
                ),
                cells.number(spread.ence if spread else None, ".2f", "ence"),
                cells.number(found.spearman if found else None, ".2f", "spearman"),
                cells.number(found.within_horizon if found else None, ".2f", "spearman"),
                _gain(found, report),
                cells.number(found.silence.flagged if found else None, ".0%", "silence"),
            ]
        )
    header = [
        "model",
        "covered by 50 %",
        "by 90 %",
        "ENCE",
        "Spearman",
        "within a horizon",
        "risk gain",
        "flagged",
    ]
    count = next((spread.samples for spread in spreads.values()), 0)
    note = (
        f"Coverage and ENCE on {count} samples of each moment, in the probed state. Spearman: told uncertainty "
        "against error; risk gain: 1 is knowing every error, 0 knowing none; flagged: of the dreams that lose the "
        "state, at 5 % false alarms."
    )
    return table(header, rows, note) + cells.reasons()


def _gain(found: Warned | None, report: PhysicsReport) -> str:
    if "M8" in report.untrusted:
        return "untrusted"
    return "N/A" if found is None or found.risk_gain is None else f"{found.risk_gain:.2f}"
