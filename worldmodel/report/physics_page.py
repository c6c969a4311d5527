"""The physics report as one page and as one JSON."""

from __future__ import annotations

import re
from typing import Any

from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.machine import Machine
from worldmodel.physics.closed_loop import ClosedLoop
from worldmodel.physics.report_data import PhysicsReport, Split
from worldmodel.physics.rows import NOISY
from worldmodel.physics.settings import LEAST_CONTEXTS
from worldmodel.report.markup import paragraph
from worldmodel.report.numbers import plain
from worldmodel.report.page import Card, Section, page
from worldmodel.report.physics_answers import answers_section, symmetry_section
from worldmodel.report.physics_looks import (
    controls_section,
    gaps_section,
    looks_section,
    probe_section,
    unfamiliar_section,
    worst_section,
)
from worldmodel.report.physics_objects import objects_section
from worldmodel.report.physics_returns import returns_section
from worldmodel.report.physics_states import laws_section, states_section
from worldmodel.report.physics_trust import trust_section
from worldmodel.report.physics_words import mean_of, number_table, told

PICTURES = ("fans", "strips", "films")
_WHERE = "have the object where it should be"


def physics_html(
    report: PhysicsReport, fps: float, machine: Machine, seconds: float, resumed: bool = False
) -> str:
    """The whole page. resumed: earlier runs had left finished parts, which are not in `seconds`."""
    familiar = report.splits[0]
    sections: list[Section | None] = [
        _summary(report, familiar),
        gaps_section(report),
        states_section(report, familiar),
        objects_section(report, familiar),
        answers_section(report),
        laws_section(report, familiar),
        trust_section(report),
        returns_section(report),
        symmetry_section(report),
        looks_section(report, familiar),
        unfamiliar_section(report),
        worst_section(report, fps),
        controls_section(report),
        probe_section(report),
    ]
    foot = paragraph(
        f"Measured in {seconds:.0f} seconds"
        + (", not counting what earlier runs had finished, " if resumed else " ")
        + f"on {machine.summary()}, {machine.system}; "
        + ", ".join(f"{name} {version}" for name, version in machine.versions.items())
        + ".",
        soft=True,
    )
    return page(
        f"The physics of {report.env}",
        _lead(report, familiar),
        cards(report),
        [s for s in sections if s],
        foot,
    )


def cards(report: PhysicsReport) -> list[Card]:
    """The headline numbers of every model; there is no composite score."""
    shown, split, doubted = [], report.splits[0], report.untrusted
    for name in report.models:
        of = f" ({name})" if len(report.models) > 1 else ""
        row = split.rows[name].numbers
        if mean_of(row.get("usable")) is not None and "M1" not in doubted:
            noisy = split.rows[NOISY].numbers.get("usable") if NOISY in split.rows else None
            usable, beside = (
                told(value, ".0f", split.horizon).split(" (")[0] for value in (row.get("usable"), noisy)
            )
            shown.append(
                Card(f"{usable} steps", f"usable horizon{of}; the simulator with 10 % action noise: {beside}")
            )
        present = mean_of(row.get("present"))
        if present is not None and "M4" not in doubted:
            there = "show about as much of it as they should" if report.probe.why else _WHERE
            shown.append(Card(f"{present:.1%}", f"of object-frames {there}{of}"))
        answer = mean_of(report.answers[name].numbers.get("cf_r2"))
        if answer is not None and "M6" not in doubted:
            shown.append(Card(f"{answer:.2f}", f"CF-R2, the answer to actions{of}: 1 is right, 0 deaf"))
        loop = report.findings[name].closed_loop
        if isinstance(loop, ClosedLoop) and "M9" not in doubted:
            ranking, bias = loop.ranking[loop.steps], loop.bias[loop.steps]
            if ranking.spearman is not None:
                text = f"rank correlation of {ranking.policies} policies' returns{of}"
                shown.append(Card(f"{ranking.spearman.mean:.2f}", text))
            if bias is not None:
                shown.append(
                    Card(f"{bias.mean:+.2f}", f"bias of dreamt returns{of}, in units of best minus random")
                )
    return shown


def _lead(report: PhysicsReport, split: Split) -> str:
    small = (
        f" This is a smoke test: {split.contexts} moments are fewer than the {LEAST_CONTEXTS} that a claim needs."
        if report.config.is_smoke
        else ""
    )
    return paragraph(
        f"Does the dream obey the physics of {report.env}, and can its numbers be trusted? {split.contexts} "
        f"moments of {split.episodes} held-out episodes were restored in the simulator, and continued for "
        f"{split.horizon} steps by everything that is compared here. States and objects are read from the pictures "
        "by one frozen probe, which also reads the simulator's own frames: that is the floor. Intervals are 95 % "
        "bootstrap intervals over episodes, paired on the same moments." + small
    )


def _summary(report: PhysicsReport, split: Split) -> Section:
    columns = [
        ("nrmse", "nRMSE", ".2f"),
        ("usable", "usable steps", ".0f"),
        ("energy", "energy kept", ".2f"),
        ("present", "present", ".1%"),
        ("contact f1", "contact F1", ".2f"),
        ("cf_r2", "CF-R2", ".2f"),
        ("psnr gain", "PSNR gain", "+.1f"),
    ]
    rows = {}
    for name, row in split.rows.items():
        answer = report.answers.get(name)
        missing = {"cf_r2": NotMeasured("The row has no branches.")}
        rows[name] = {**row.numbers, **(answer.numbers if answer else missing)}
    note = (
        "M1 to M6 and M10, in this order. Each column is a question of its own; they are never averaged. M7 to M9 "
        "are of models alone, below."
    )
    return Section("All rows", number_table(rows, columns, split.horizon, note, report.untrusted))


def physics_numbers(report: PhysicsReport) -> dict[str, Any]:
    """Everything but pictures, as JSON holds it."""
    kept = {name: value for name, value in vars(report).items() if name not in PICTURES}
    content: dict[str, Any] = {name: _plain(value) for name, value in kept.items()}
    content["films"] = [
        {"model": f.model, "context": f.context, "episode": f.episode, f.measure: f.error}
        for f in report.films
    ]
    content["smoke"] = report.config.is_smoke
    return content


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if hasattr(value, "tolist"):
        value = value.tolist()
    return plain(value)


def _key(key: Any) -> str:
    return re.sub(r"\s+", " ", str(key))
