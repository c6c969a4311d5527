"""M10, other splits, worst cases and the instrument: what ends the physics report."""

from __future__ import annotations

from worldmodel.physics.pictures import HAARPSI_CONVENTION, MOVED, SSIM_CONVENTION
from worldmodel.physics.probe import FEATURE_GATE, OBJECT_GATE
from worldmodel.physics.report_data import PhysicsReport, Split
from worldmodel.report.dream_section import film_of, strip_of
from worldmodel.report.markup import film, paragraph, table
from worldmodel.report.page import Section
from worldmodel.report.physics_words import number_table


def looks_section(report: PhysicsReport, split: Split) -> Section:
    """Pictures, secondary to all else."""
    columns = [
        ("psnr", "PSNR", ".1f"),
        ("ssim", "SSIM", ".3f"),
        ("haarpsi", "HaarPSI", ".3f"),
        ("psnr_moving", "PSNR, moving", ".1f"),
    ]
    columns += [(f"{name} gain", f"{heading} gain", f"+{form}") for name, heading, form in columns]
    note = (
        "Secondary: a picture may look right and be wrong. Gain: over the copied last frame. Moving: pixels that "
        f"differ by more than {MOVED} levels from the last known frame. {SSIM_CONVENTION}. {HAARPSI_CONVENTION}."
    )
    numbers = {name: row.numbers for name, row in split.rows.items()}
    words = paragraph("How close the pictures are. These numbers are averaged with no other.")
    return Section(
        "M10: looks", words + number_table(numbers, columns, split.horizon, note, report.untrusted)
    )


def unfamiliar_section(report: PhysicsReport) -> Section | None:
    """The same in worlds that the training data did not show."""
    others = report.splits[1:]
    if not others:
        return None
    columns = [
        ("nrmse", "nRMSE", ".2f"),
        ("skill", "skill", ".2f"),
        ("usable", "usable steps", ".0f"),
        ("present", "present", ".1%"),
    ]
    columns += [("energy", "energy kept", ".2f"), ("psnr", "PSNR", ".1f")]
    rows = {f"{split.name}: {name}": row.numbers for split in others for name, row in split.rows.items()}
    words = (
        "Moments of episodes whose masses, friction, gravity or sizes lie outside of what training showed, one "
        "kind at a time, and of starts that training showed one by one but hardly ever together. A model that has "
        "learned one world cannot know another's masses: these rows tell how far its habits carry."
    )
    why = [f"{split.name}: {split.why}" for split in others if split.why]
    counts = ", ".join(f"{split.name} {split.contexts}" for split in others if split.contexts)
    body = (
        number_table(rows, columns, report.config.horizon, f"Moments: {counts}.", report.untrusted)
        if rows
        else ""
    )
    return Section("Beyond the training data", paragraph(words) + body + paragraph(*why, soft=True))


def gaps_section(report: PhysicsReport) -> Section | None:
    """Two or more models, paired."""
    rows = {
        f"{split.name}: {pair}": numbers for split in report.splits for pair, numbers in split.gaps.items()
    }
    if not rows:
        return None
    columns = [
        ("nrmse", "nRMSE, first - second", "+.3f"),
        ("present", "present, first - second", "+.1%"),
        ("psnr", "PSNR, first - second", "+.2f"),
    ]
    note = "Paired on the same moments; an interval that holds 0 tells no difference."
    return Section(
        "Side by side",
        number_table(rows, columns, report.config.horizon, note, report.untrusted, "split and pair"),
    )


def worst_section(report: PhysicsReport, fps: float) -> Section | None:
    """The cases with the largest errors, as films."""
    if not report.films:
        return None
    pieces = [
        paragraph(
            "The moments with the largest errors of all, worst first: real, dream, and their difference."
        )
    ]
    for shown in report.films:
        error = f"nRMSE {shown.error:.2f}" if shown.measure == "nrmse" else f"PSNR {shown.error:.1f} dB"
        if shown.measure == "nrmse" and "M1" in report.untrusted:
            error = "nRMSE untrusted"
        caption = f"{shown.model}: moment {shown.context}, held-out episode {shown.episode}, {error}."
        pieces.append(
            film(film_of(shown.real, shown.dream, 0, fps), strip_of(shown.real, shown.dream, 1), caption)
        )
    return Section("The worst cases", "".join(pieces))


def probe_section(report: PhysicsReport) -> Section:
    """What the instrument can read."""
    probe = report.probe
    if probe.why:
        return Section("The instrument", paragraph(probe.why))
    rows = [
        [name, f"R^2 {value:.4f}", _verdict(name, probe.trusted)] for name, value in probe.features.items()
    ]
    rows += [
        [f"mask of {name}", f"IoU {value:.3f}", _verdict(name, probe.trusted)]
        for name, value in probe.objects.items()
    ]
    words = (
        "All numbers but M9 and M10 are read from pictures by a small network that was fitted on real frames "
        f"only, then frozen. A feature counts if it reaches R^2 {FEATURE_GATE} on held-out real frames, an object "
        f"if its mask reaches IoU {OBJECT_GATE}; "
        'all else is N/A. The row "simulator" is what it makes of true frames: the floor of every table.'
    )
    return Section(
        "The instrument",
        paragraph(words)
        + table(["what it reads", "on held-out frames", ""], rows, f"Probe {probe.version}."),
    )


def controls_section(report: PhysicsReport) -> Section:
    """What every metric said of known faults."""
    if not report.controls:
        words = "No results of the fault bench were given (physics.controls); the tests run it on our scenes."
        return Section("How the metrics were tried", paragraph(words))
    rows = []
    for control in report.controls:
        for item in control.checks:
            verdict = "not tried" if item.passed is None else "passed" if item.passed else "FAILED"
            rows.append(
                [f"{control.number}. {control.fault}", item.metric, item.expected, item.measured, verdict]
            )
    words = "Known faults were put into true frames of this data, and every metric had to say what is expected of it."
    failed = ", ".join(sorted(report.untrusted))
    verdict = f"Untrusted here: {failed}." if failed else "None failed."
    header = ["fault", "metric", "expected", "measured", ""]
    return Section("How the metrics were tried", paragraph(words, verdict) + table(header, rows))


def _verdict(name: str, trusted: list[str]) -> str:
    return "used" if name in trusted else "not sure enough: N/A"
