"""What the fault bench (tests/faults) found: known faults, and whether each metric said of them what it must."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from worldmodel.errors import WorldModelError
from worldmodel.files import read_json

FORMAT = "worldmodel-controls"


@dataclass(frozen=True)
class Check:
    """metric: "M1" to "M9"; passed None: it could not be tried, and measured says why."""

    metric: str
    expected: str
    measured: str
    passed: bool | None


@dataclass(frozen=True)
class Control:
    """One fault: its number and name, and what every metric that must notice it (or must not) said."""

    number: int
    fault: str
    checks: tuple[Check, ...]


def read_controls(path: str | Path, probe: str) -> list[Control]:
    """From the file that `tests/faults/run_controls.py` wrote. Raises WorldModelError unless it was tried with the
    probe of this version."""
    content = read_json(Path(path))
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise WorldModelError(f"physics.controls={path} was not written by tests/faults/run_controls.py.")
    if content["probe"] != probe:
        raise WorldModelError(
            f"The controls in {path} were tried with probe {content['probe']}, this report reads with {probe}: run "
            "them again on the same dataset with the same physics.probe."
        )
    return [
        Control(row["number"], row["fault"], tuple(Check(**check) for check in row["checks"]))
        for row in content["controls"]
    ]


def untrusted(controls: Sequence[Control]) -> dict[str, str]:
    """Metric ("M1") -> which control it failed, and how."""
    failed: dict[str, str] = {}
    for control in controls:
        for check in control.checks:
            if check.passed is False:
                text = f"control {control.number} ({control.fault}): expected {check.expected}, got {check.measured}"
                failed.setdefault(check.metric, text)
    return failed
