"""`worldmodel calibrate`: give a checkpoint the map from its dreams' signals to their expected error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worldmodel import zoo
from worldmodel.arguments import made_of
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.device import chosen_device
from worldmodel.errors import CheckpointError
from worldmodel.evaluation.calibration import CalibrationConfig, calibrate_model
from worldmodel.files import atomic_write_text, write_json
from worldmodel.machine import this_machine
from worldmodel.model.checkpoint import find_checkpoint, keep_calibration, load_world_model
from worldmodel.model.uncertainty import UNIT, Calibration
from worldmodel.model.world_model import WorldModel
from worldmodel.report import plots
from worldmodel.report.page import Section, drawing, page, paragraph, table
from worldmodel.report.plots import Line, line_plot


def calibrate(
    checkpoint: str,
    data: str,
    unfamiliar: Mapping[str, str] | None = None,
    measurements: Mapping[str, Any] | None = None,
    out: str | None = None,
    device: str | None = None,
) -> Path:
    """Fit and check the map on the held-out episodes of `data`, store it in `checkpoint`, print what the check found.

    unfamiliar: name -> dataset of the same environment as training never showed it, for the check; measurements: fields
    of CalibrationConfig; out: a folder for calibration.html and calibration.json. Returns the checkpoint's folder.
    """
    config = made_of(CalibrationConfig, measurements, "measurements")
    folder = find_checkpoint(checkpoint)
    if folder.resolve().is_relative_to(zoo.SHELF.resolve()):
        raise CheckpointError(
            f"{folder.name} is a shipped world, calibrated as it is: copy its folder to change it."
        )
    model = load_world_model(folder, chosen_device(device))
    others = {name: EpisodeDataset(path) for name, path in (unfamiliar or {}).items()}
    calibration = calibrate_model(model, EpisodeDataset(data), config, others)
    keep_calibration(folder, calibration)
    if out is not None:
        write_json(Path(out) / "calibration.json", calibration.to_json())
        atomic_write_text(Path(out) / "calibration.html", reliability_page(model, calibration))
    for passes, measured in calibration.measured.items():
        print(summary(passes, measured))
    return folder


def summary(passes: int, measured: Mapping[str, Any]) -> str:
    """The check's figures as a table of text."""
    rows = [*measured["worlds"].items(), *measured["together"].items()]
    width = max(len(name) for name, _ in rows)
    lines = [
        f"{passes} denoising pass{'es' if passes > 1 else ''}: expected and true error in grey levels",
        f"  {'':{width}}  expected   true  rank correlation  at one horizon  covered  ENCE",
    ]
    for name, part in rows:
        pooled, within = (_signed(part[key]) for key in ("spearman", "within_horizon"))
        lines.append(
            f"  {name:{width}}  {part['mean_expected']:8.1f} {part['mean_true']:6.1f}  {pooled:>16}  {within:>14}"
            f"  {part['coverage']:7.0%}  {part['ence']:4.2f}"
        )
    bound = f"{measured['bound_factor']:.2f} times the expected one, which should be {measured['bound_share']:.0%}"
    return "\n".join([*lines, f"  covered: errors below {bound}; ENCE: calibration error, 0 is perfect"])


def reliability_page(model: WorldModel, calibration: Calibration) -> str:
    """HTML: expected against true error, for each number of passes."""
    sections = [_section(passes, measured) for passes, measured in sorted(calibration.measured.items())]
    lead = paragraph(
        f"Uncertainty is the {UNIT}.",
        "Each point is the mean of a tenth of the frames; on the line it is true.",
    )
    title = f"How far dreams of {model.world.env.id} can be trusted"
    return page(title, lead, [], sections, paragraph(this_machine().summary(), soft=True))


def _section(passes: int, measured: Mapping[str, Any]) -> Section:
    colours = (plots.ORANGE, plots.BLUE)
    groups = list(measured["together"].items())
    lines = []
    for (name, part), colour in zip(groups, colours, strict=False):
        expected, true = zip(*part["bins"], strict=True)
        lines.append(Line(name, expected, true, colour, "o-"))
    most = max(max(pair) for _, part in groups for pair in part["bins"])
    svg = line_plot(
        f"reliability-{passes}",
        [*lines, Line("as it should be", [0, most], [0, most], plots.GREY, "--")],
        "expected error (grey levels)",
        "true error (grey levels)",
    )
    header = ["checked on", "expected", "true", "rank correlation", "at one horizon", "covered", "ENCE"]
    rows = [
        [
            name,
            f"{part['mean_expected']:.1f}",
            f"{part['mean_true']:.1f}",
            _signed(part["spearman"]),
            _signed(part["within_horizon"]),
            f"{part['coverage']:.0%}",
            f"{part['ence']:.2f}",
        ]
        for name, part in [*measured["worlds"].items(), *groups]
    ]
    covered = (
        f"Covered: errors below {measured['bound_factor']:.2f} times the expected one, which should be "
        f"{measured['bound_share']:.0%}. ENCE: mean relative distance from the line."
    )
    title = f"{passes} denoising pass{'es' if passes > 1 else ''}"
    return Section(
        title,
        drawing(svg, "Frames that neither training nor the map has seen.") + table(header, rows, covered),
    )


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
