"""Negative controls: known faults in true simulator rollouts, and what each metric must say of them.

A metric that says anything else is not to be trusted, and a report prints that instead of its number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from worldmodel.physics import motion_faults, number_faults, object_faults
from worldmodel.physics.bench import Bench
from worldmodel.physics.check import Check
from worldmodel.progress import progress


@dataclass(frozen=True)
class Control:
    """One fault: its number and name, and what every metric that must notice it (or must not) said."""

    number: int
    fault: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether no metric failed; what could not be tried has not failed."""
        return not any(check.passed is False for check in self.checks)


_FAULTS: Sequence[tuple[str, Callable[[Bench], list[Check]]]] = (
    ("an object deleted in 20 % of its frames", object_faults.deleted),
    ("an object doubled in 20 % of its frames", object_faults.doubled),
    ("an object elsewhere in 20 % of its frames", object_faults.teleported),
    ("two objects with swapped colours in 20 % of the frames", object_faults.swapped),
    ("frozen after a quarter of the steps", motion_faults.frozen),
    ("time reversed", motion_faults.reversed_time),
    ("actions shuffled, negated, halved", motion_faults.wrong_actions),
    ("brightness, blur, noise of 12 grey levels", motion_faults.disturbed),
    ("gravity, mass, friction times 0.6 to 1.4", motion_faults.wrong_physics),
    ("nothing: truth against truth", motion_faults.nothing_wrong),
    ("a body 5 to 50 mm inside another", motion_faults.penetrating),
    ("spread of the samples times 0.5 and 2", number_faults.wrong_spread),
    ("policies with each other's returns, and all the same", number_faults.permuted),
    ("real and dream swapped", number_faults.swapped_arguments),
)


def run_controls(bench: Bench) -> list[Control]:
    """All fourteen, on the bench's contexts and with its probe."""
    bar = progress(enumerate(_FAULTS, start=1), total=len(_FAULTS), desc="trying the metrics", unit="fault")
    return [Control(number, fault, tuple(run(bench))) for number, (fault, run) in bar]


def untrusted(controls: Sequence[Control]) -> dict[str, str]:
    """Metric ("M1") -> which control it failed, and how."""
    failed: dict[str, str] = {}
    for control in controls:
        for check in control.checks:
            if check.passed is False:
                text = f"control {control.number} ({control.fault}): expected {check.expected}, got {check.measured}"
                failed.setdefault(check.metric, text)
    return failed
