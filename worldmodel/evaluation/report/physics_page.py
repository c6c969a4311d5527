"""The physics report as one page and as one JSON."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from worldmodel.evaluation.metrics.permanence import STRATA
from worldmodel.evaluation.metrics.pictures import HAARPSI_CONVENTION, MOVED, SSIM_CONVENTION
from worldmodel.evaluation.metrics.ranking import LEAST_POLICIES
from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.evaluation.probe.probe import FEATURE_GATE, OBJECT_GATE
from worldmodel.evaluation.report import physics_pictures as pictures
from worldmodel.evaluation.report.physics_tables import Cells, number_table
from worldmodel.evaluation.report_data import ModelFindings, PhysicsReport
from worldmodel.evaluation.rows.closed_loop import ClosedLoop
from worldmodel.evaluation.rows.measures import HORIZONS, Measured, Number
from worldmodel.evaluation.rows.rows import NOISY
from worldmodel.evaluation.settings import LEAST_CONTEXTS
from worldmodel.evaluation.statistics import Interval
from worldmodel.machine import Machine
from worldmodel.report.numbers import plain
from worldmodel.report.page import Card, render

PICTURES = ("fans", "strips", "films")
LOOKS = (
    ("psnr", "PSNR", ".1f"),
    ("ssim", "SSIM", ".3f"),
    ("haarpsi", "HaarPSI", ".3f"),
    ("psnr_moving", "PSNR, moving", ".1f"),
)
Numbers = Mapping[str, Mapping[str, Number]]


def physics_html(
    report: PhysicsReport, fps: float, machine: Machine, seconds: float, resumed: bool = False
) -> str:
    """The whole page. resumed: earlier runs had left finished parts, which are not in `seconds`."""
    split, loops = report.splits[0], _loops(report)
    missing = {"cf_r2": NotMeasured("The row has no branches.")}
    answers = {name: answer.numbers for name, answer in report.answers.items()}
    rows = {name: row.numbers for name, row in split.rows.items()}
    doubted = report.untrusted

    def curve(of: str, name: str, row: str) -> Any:
        measured = split.rows.get(row, Measured({}, {}, {}))
        return getattr(measured, of).get(name)

    traces = {
        name: pictures.row_plot(report, f"trace-{name}", "M3", partial(curve, "traces", name), unit, 0)
        for name, unit in (("energy", "energy (J)"), ("momentum", "momentum (kg m/s)"))
    }
    scatters = {
        name: pictures.returns_plot(f"returns-{i}", loop, pictures.COLOURS[i % 4])
        for i, (name, loop) in enumerate(loops.items())
    }
    return render(
        "physics.html",
        title=f"The physics of {report.env}",
        cards=cards(report),
        report=report,
        machine=machine,
        seconds=seconds,
        resumed=resumed,
        numbers=partial(_table, doubted),
        rows=rows,
        answers=answers,
        summary={name: {**row, **answers.get(name, missing)} for name, row in rows.items()},
        gaps={f"{s.name}: {pair}": gap for s in report.splits for pair, gap in s.gaps.items()},
        nrmse_at=[(f"nrmse at {h}", f"at step {h}", ".2f") for h in HORIZONS if h <= split.horizon],
        strata=[(f"present, {stratum}", stratum, ".1%") for stratum in STRATA],
        looks=[*LOOKS, *((f"{name} gain", f"{heading} gain", f"+{form}") for name, heading, form in LOOKS)],
        trust={name: trust_numbers(found) for name, found in report.findings.items()},
        returns=_returns(report),
        decisions=_decisions(loops),
        few=[
            f"{name}: {loop.ranking[loop.steps].policies} policies are fewer than the {LEAST_POLICIES} that a "
            "ranking needs."
            for name, loop in loops.items()
            if not loop.ranking[loop.steps].enough
        ],
        symmetry={name: found.symmetry for name, found in report.findings.items()},
        unfamiliar={
            f"{s.name}: {name}": row.numbers for s in report.splits[1:] for name, row in s.rows.items()
        },
        least_contexts=LEAST_CONTEXTS,
        moved=MOVED,
        ssim=SSIM_CONVENTION,
        haarpsi=HAARPSI_CONVENTION,
        feature_gate=FEATURE_GATE,
        object_gate=OBJECT_GATE,
        plots={
            "nrmse": pictures.row_plot(
                report, "nrmse", "M1", partial(curve, "curves", "nrmse"), "nRMSE (lower is better)"
            ),
            "cf_r2": pictures.row_plot(
                report,
                "cf-r2",
                "M6",
                lambda row: report.answers[row].curve if row in report.answers else None,
                "CF-R2 (1 is right)",
            ),
            "traces": {name: plot for name, plot in traces.items() if plot},
            "reliability": pictures.reliability_plot(report),
            "risk": pictures.risk_plot(report),
            "returns": {} if "M9" in doubted else scatters,
        },
        pictures={
            "strips": [pictures.strip_picture(strip) for strip in report.strips],
            "fans": [pictures.fan_picture(fan) for fan in report.fans],
            "films": [pictures.worst_film(film, "M1" in doubted, fps) for film in report.films],
        },
    )


def cards(report: PhysicsReport) -> list[Card]:
    """The headline numbers of every model; there is no composite score."""
    shown, split, cells = [], report.splits[0], Cells(report.splits[0].horizon, {})
    where = (
        "show about as much of it as they should"
        if report.probe.why
        else "have the object where it should be"
    )
    for name in report.models:
        of = f" ({name})" if len(report.models) > 1 else ""
        row, answer = split.rows[name].numbers, report.answers[name].numbers
        usable, noisy = (
            row.get("usable"),
            split.rows[NOISY].numbers.get("usable") if NOISY in split.rows else None,
        )
        told = [cells.number(value, ".0f").split("\n")[0] for value in (usable, noisy)]
        loop = _loops(report).get(name)
        ranking = loop.ranking[loop.steps] if loop else None
        candidates = [
            (
                "M1",
                usable,
                f"{told[0]} steps",
                f"usable horizon{of}; the simulator with 10 % action noise: {told[1]}",
            ),
            ("M4", row.get("present"), ".1%", f"of object-frames {where}{of}"),
            (
                "M6",
                answer.get("cf_r2"),
                ".2f",
                f"CF-R2, the answer to actions{of}: 1 is right, 0 no response",
            ),
            (
                "M9",
                ranking and ranking.spearman,
                ".2f",
                f"rank correlation of {ranking.policies if ranking else 0} policies' returns{of}",
            ),
            (
                "M9",
                loop and loop.bias[loop.steps],
                "+.2f",
                f"bias of dreamt returns{of}, in units of best minus random",
            ),
        ]
        for metric, value, form, meaning in candidates:
            if isinstance(value, Interval) and metric not in report.untrusted:
                number = form if metric == "M1" else f"{value.mean:{form}}"
                shown.append(Card(number, meaning))
    return shown


def trust_numbers(found: ModelFindings) -> dict[str, Number]:
    """M8 of one model by measure."""
    spread, warned = found.spread, found.warned
    numbers: dict[str, Number] = {}
    if isinstance(spread, NotMeasured):
        numbers |= dict.fromkeys(("coverage 50", "coverage 90", "ence"), spread)
    else:
        numbers |= {f"coverage {level * 100:.0f}": value for level, value in spread.coverage.items()}
        numbers["ence"] = spread.ence
    if isinstance(warned, NotMeasured):
        return numbers | dict.fromkeys(("spearman", "spearman within", "risk gain", "silence"), warned)
    constant = NotMeasured("The uncertainty is constant.")
    return numbers | {
        "spearman": warned.spearman or constant,
        "spearman within": warned.within_horizon or constant,
        "risk gain": constant if warned.risk_gain is None else exactly(warned.risk_gain),
        "silence": warned.silence.flagged or NotMeasured(f"Silence test: {warned.silence.why}."),
    }


def exactly(value: float | None) -> Number:
    """A number without an interval."""
    return NotMeasured("Returns are constant.") if value is None else Interval(value, value, value)


def physics_numbers(report: PhysicsReport) -> dict[str, Any]:
    """Everything but pictures, as JSON holds it."""
    content = {name: plain(value) for name, value in vars(report).items() if name not in PICTURES}
    content["films"] = [
        {"model": f.model, "context": f.context, "episode": f.episode, f.measure: f.error}
        for f in report.films
    ]
    content["smoke"] = report.config.is_smoke
    return content


def _loops(report: PhysicsReport) -> dict[str, ClosedLoop]:
    found = {name: findings.closed_loop for name, findings in report.findings.items()}
    return {name: loop for name, loop in found.items() if isinstance(loop, ClosedLoop)}


def _returns(report: PhysicsReport) -> Numbers:
    rows: dict[str, dict[str, Number]] = {}
    constant = NotMeasured("Returns are constant.")
    for name, found in report.findings.items():
        if isinstance(found.closed_loop, NotMeasured):
            rows[name] = {"ranking spearman": found.closed_loop, "bias": found.closed_loop}
            continue
        loop = found.closed_loop
        for steps, ranking in loop.ranking.items():
            rows[f"{name}, {steps} steps"] = {
                "ranking spearman": ranking.spearman or constant,
                "ranking tau": ranking.tau_b or constant,
                "ranking pearson": ranking.pearson or constant,
                "ranking mmrv": ranking.mmrv or constant,
                **{f"ranking {k}": exactly(value) for k, value in ranking.regret_at.items()},
                "bias": loop.bias[steps] or constant,
                **({"bias exploit": loop.exploit_gap or constant} if steps == loop.steps else {}),
            }
    return rows


def _decisions(loops: Mapping[str, ClosedLoop]) -> Numbers:
    found = {
        f"{name}, {loop.decisions.contexts} moments": loop.decisions
        for name, loop in loops.items()
        if loop.decisions
    }
    return {
        name: {
            "decisions": d.accuracy,
            "decisions chance": exactly(d.chance),
            "decisions regret": d.regret,
            "decisions guess": d.regret_of_guessing,
        }
        for name, d in found.items()
        if d.accuracy and d.regret and d.regret_of_guessing
    }


def _table(
    untrusted: Mapping[str, str],
    rows: Numbers,
    columns: Any,
    horizon: int,
    note: str = "",
    first: str = "row",
) -> str:
    return number_table(rows, columns, horizon, untrusted, note, first)
