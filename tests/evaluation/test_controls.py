"""The fourteen negative controls, on true simulator rollouts, with a probe that reads pictures."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from colour_probe import fit_colour_probe
from fault_bench import Bench
from run_controls import run_controls

from worldmodel.evaluation.controls import Check, Control, untrusted
from worldmodel.evaluation.moments.contexts import fresh_contexts
from worldmodel.evaluation.moments.simulator import SimulatorSource
from worldmodel.evaluation.moments.subject import subject_of
from worldmodel.real_env import EnvConfig

FITTED, HELD, STEPS = 40, 12, 20
# Which metrics each control must try in each scene; what is missing there is N/A. Swing has one object and nothing to
# touch; in Bounce no two objects are alike; in Hide much is out of sight.
OBJECTS = {1: "M4", 2: "M4 M4", 3: "M4 M4", 4: "M4 M4"}
NUMBERS = {12: "M8 M8 M8", 13: "M9 M9 M9", 14: "M9"}
MOTION = {
    5: "M1 M3 M4 M6",
    6: "M1 M7",
    7: "M6 M6 M6",
    8: "M1 M4 M6",
    9: "M1 M1",
    10: "M1 M1 M3 M4 M5 M6 M6",
    11: "M5",
}
TRIED = {
    "Push": OBJECTS | NUMBERS | MOTION | {8: "M1 M4 M5 M6"},
    "Bounce": {k: v for k, v in OBJECTS.items() if k < 4} | NUMBERS | MOTION,
    "Swing": NUMBERS | MOTION | {5: "M1 M3 M6", 8: "M1 M3 M6", 10: "M1 M1 M3 M6 M6", 11: ""},
    "Hide": OBJECTS | NUMBERS | MOTION | {8: "M4"},
    "Billiards": OBJECTS | NUMBERS | MOTION,
}
# Noise on five balls of like colours is more than this simple probe can read through, and the controls say so; so do
# they of an energy that brightness shifts by 5.7 %, where 5 % are allowed.
UNTRUSTED = {"Billiards": {"M1", "M5"}, "Swing": {"M3"}}


def bench_of(scene: str, size: int = 48, fitted: int = FITTED, held: int = HELD) -> Bench:
    contexts = fresh_contexts(EnvConfig(f"worldmodel/{scene}-v0", size=size), fitted, 3, STEPS, seed=0)
    subject = subject_of(contexts)
    truth = SimulatorSource("simulator", subject, keep_masks=True).rollouts(contexts)
    probe = fit_colour_probe(subject, contexts, truth)
    return Bench(
        contexts.select(np.arange(fitted - held, fitted)), subject, probe
    )  # not those it was fitted on


@pytest.mark.parametrize("scene", ["Push", "Bounce", "Swing"])
def test_every_fault_is_found(scene: str) -> None:
    check_controls(scene, run_controls(bench_of(scene)))


@pytest.mark.slow
@pytest.mark.parametrize("scene", ["Push", "Bounce", "Swing", "Hide", "Billiards"])
def test_every_fault_is_found_in_larger_pictures(scene: str) -> None:
    """pytest -m slow tests/evaluation/test_controls.py: about six minutes."""
    check_controls(scene, run_controls(bench_of(scene, size=64, fitted=60, held=24)))


def check_controls(scene: str, controls: list[Control]) -> None:
    assert [control.number for control in controls] == list(range(1, 15))
    json.dumps([asdict(control) for control in controls])
    assert set(untrusted(controls)) <= UNTRUSTED.get(scene, set())
    for control in controls:
        tried = [check.metric for check in control.checks if check.passed is not None]
        missing = TRIED[scene].get(control.number, "").split()
        for metric in tried:
            if metric in missing:
                missing.remove(metric)
        assert not missing, (control, missing)


def test_a_metric_that_fails_its_control_is_named() -> None:
    good, bad = Check("M1", "1", "1", True), Check("M4", "0", "7", False)
    controls = [
        Control(1, "a fault", (good, bad)),
        Control(2, "another", (good, Check("M5", "", "N/A", None))),
    ]
    assert untrusted(controls) == {"M4": "control 1 (a fault): expected 0, got 7"}
