"""`worldmodel calibrate`: give a checkpoint the map from its dreams' signals to their expected error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.evaluation.calibration import CalibrationConfig, calibrate_model
from worldmodel.files import write_json
from worldmodel.model.checkpoint import find_checkpoint, keep_calibration, load_world_model


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
    of CalibrationConfig; out: a file for all figures as JSON. Returns the checkpoint's folder.
    """
    folder = find_checkpoint(checkpoint)
    model = load_world_model(folder, device or ("cuda" if torch.cuda.is_available() else "cpu"))
    others = {name: EpisodeDataset(path) for name, path in (unfamiliar or {}).items()}
    calibration = calibrate_model(
        model, EpisodeDataset(data), CalibrationConfig(**(measurements or {})), others
    )
    keep_calibration(folder, calibration)
    if out is not None:
        write_json(out, calibration.to_json())
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


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
