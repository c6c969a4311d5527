"""M9: can policies be judged in the dream?"""

from __future__ import annotations

from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.physics.closed_loop import ClosedLoop
from worldmodel.physics.ranking import LEAST_POLICIES
from worldmodel.physics.report_data import PhysicsReport
from worldmodel.report import plots
from worldmodel.report.markup import drawing, paragraph, table
from worldmodel.report.page import Section
from worldmodel.report.physics_words import MODEL_COLOURS, Cells, distrusted
from worldmodel.report.plots import Points, scatter_plot


def returns_section(report: PhysicsReport) -> Section:
    """Scatter of returns, ranking, bias, exploit gap and decisions."""
    content, rows, cells = "", [], Cells(report.config.policy_steps, report.untrusted)
    for i, (name, found) in enumerate(report.findings.items()):
        loop = found.closed_loop
        if isinstance(loop, NotMeasured):
            content += paragraph(f"{name}: {loop.reason}")
            continue
        doubt = distrusted(report.untrusted, "M9")
        picture = "" if doubt else _scatter(f"returns-{i}", name, loop, MODEL_COLOURS[i % 4])
        content += paragraph(doubt or _verdict(name, loop)) + picture
        for steps, ranking in loop.ranking.items():
            regrets = [_lost(value, bool(doubt)) for value in ranking.regret_at.values()]
            numbers = (ranking.spearman, ranking.tau_b, ranking.pearson, ranking.mmrv)
            rows.append(
                [
                    f"{name}, {steps} steps",
                    *(
                        "null" if value is None else cells.number(value, measure="ranking")
                        for value in numbers
                    ),
                    *regrets,
                    cells.number(loop.bias[steps], "+.2f", "bias"),
                    cells.number(loop.exploit_gap, "+.2f", "bias") if steps == loop.steps else "",
                ]
            )
    if rows:
        header = [
            "model",
            "Spearman",
            "tau-b",
            "Pearson",
            "MMRV",
            "regret@1",
            "regret@3",
            "bias",
            "exploit gap",
        ]
        note = (
            "Over policies, intervals by drawing policies again; MMRV and regret in units of the return; bias: "
            "mean of dreamt minus real return, in units of the best policy's return minus the random one's, "
            "interval over moments; exploit gap: the bias of policies improved in the dream minus that of the "
            "others. Null: returns are constant, so nothing is ranked."
        )
        content += table(header, rows, note) + _decisions(report)
    return Section("M9: can policies be judged in the dream?", content)


def _lost(regret: float | None, doubted: bool) -> str:
    if doubted:
        return "untrusted"
    return "null" if regret is None else f"{regret:.2f}"


def _verdict(name: str, loop: ClosedLoop) -> str:
    ranking = loop.ranking[loop.steps]
    few = "" if ranking.enough else f" That is fewer than the {LEAST_POLICIES} that a ranking needs."
    if ranking.spearman is None:
        return f"Dreams of {name} rank nothing: returns of {ranking.policies} policies are constant on one side.{few}"
    lost = ranking.regret_at[1]
    choice = (
        ""
        if lost is None
        else f" Taking the policy that is best in the dream loses {lost:.2f} of real return."
    )
    return (
        f"{name} ranks {ranking.policies} policies, each from {loop.starts} moments over {loop.steps} steps, with "
        f"a rank correlation of {ranking.spearman.mean:.2f} ({ranking.spearman.low:.2f} to "
        f"{ranking.spearman.high:.2f}).{choice}{few}"
    )


def _scatter(key: str, name: str, loop: ClosedLoop, colour: str) -> str:
    ranked = [p for p in loop.policies if not p.optimised]
    sought = [p for p in loop.policies if p.optimised]
    groups = [
        Points(title, [float(p.real.mean()) for p in group], [float(p.dream.mean()) for p in group], hue)
        for title, group, hue in (
            ("policies", ranked, colour),
            ("improved in the dream", sought, plots.GREEN),
        )
        if group
    ]
    return drawing(
        scatter_plot(key, groups, "real return", "return in the dream"),
        f"Every point is a policy, its mean return over {loop.starts} moments; on the dashed line {name} is right.",
    )


def _decisions(report: PhysicsReport) -> str:
    cells, rows = Cells(0, report.untrusted), []
    for name, found in report.findings.items():
        loop = found.closed_loop
        if (
            isinstance(loop, ClosedLoop)
            and loop.decisions is not None
            and loop.decisions.accuracy is not None
        ):
            d = loop.decisions
            rows.append(
                [
                    name,
                    str(d.contexts),
                    cells.number(d.accuracy, ".0%", "decisions"),
                    f"{d.chance:.0%}",
                    cells.number(d.regret, ".2f", "decisions"),
                    cells.number(d.regret_of_guessing),
                ]
            )
    if not rows:
        return ""
    note = (
        "Of five action sequences from one moment (recorded, none, two held, one random), how often the dream's "
        "best is the best; regret: what the choice loses, in shares of the range between the best and the worst. "
        "Moments where all are alike are left out."
    )
    return table(["model", "moments", "best chosen", "by guessing", "regret", "of guessing"], rows, note)
