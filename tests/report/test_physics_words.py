"""What the physics page says agrees with its numbers, and says nothing by a metric that failed its control."""

from dataclasses import replace

import numpy as np
import pytest
from physics_report import physics_report

from worldmodel.evaluation.not_measured import NotMeasured
from worldmodel.evaluation.statistics import Interval
from worldmodel.machine import this_machine
from worldmodel.physics.measures import Measured, Number
from worldmodel.physics.report_data import Film, ModelFindings, PhysicsReport
from worldmodel.report.physics_answers import symmetry_section
from worldmodel.report.physics_looks import worst_section
from worldmodel.report.physics_page import cards, physics_html, physics_numbers
from worldmodel.report.physics_states import laws_section, states_section
from worldmodel.report.physics_words import Cells

NOTHING = NotMeasured("Nothing to count here.")


def with_row(**numbers: Number) -> PhysicsReport:
    """A report in which the model "dream" has these numbers too (_ for a space)."""
    report = physics_report(["dream"])
    split = report.splits[0]
    known = {
        **split.rows["dream"].numbers,
        **{key.replace("_", " "): value for key, value in numbers.items()},
    }
    return replace(report, splits=[replace(split, rows={**split.rows, "dream": Measured(known, {}, {})})])


def with_arrow(value: Number) -> PhysicsReport:
    nothing = NotMeasured("It was not measured.")
    found = {"dream": ModelFindings({"arrow": value}, nothing, nothing, nothing)}
    return replace(physics_report(["dream"]), findings=found)


def test_a_metric_that_failed_its_control_says_nothing_anywhere() -> None:
    report = with_row(nrmse=Interval(0.4321, 0.43, 0.44), usable=Interval(17.0, 16.0, 18.0))
    sure = physics_html(report, 10.0, this_machine(), 1.0)
    assert "0.43 standard deviations" in sure and "17 steps" in sure and "CF-R2 0.70" in sure
    failed = dict.fromkeys(("M1", "M6"), "control 7 (actions shuffled): expected -1, got 0")
    doubted = replace(report, untrusted=failed)
    html = physics_html(doubted, 10.0, this_machine(), 1.0)
    assert not cards(doubted) and "0.43" not in html and "17 steps" not in html and "0.70" not in html
    assert "M1 fails its negative control 7" in html and "answers to actions" not in html.split("<tbody>")[0]


@pytest.mark.parametrize(("arrow", "said"), [(NOTHING, ""), (Interval(1.4, 1.2, 1.6), "as it must be")])
def test_time_is_spoken_of_only_where_it_was_measured(arrow: Number, said: str) -> None:
    content = symmetry_section(with_arrow(arrow)).content
    assert ("Read backwards every dream" in content) == bool(said) and said in content
    assert "no direction in dreams of dream" in symmetry_section(with_arrow(Interval(0.9, 0.8, 1.0))).content


def test_energy_is_told_where_nothing_can_touch() -> None:
    """Swing: one body, whose state is read."""
    kept = Interval(0.8, 0.7, 0.9)
    report = with_row(energy=kept, momentum=kept, contact_f1=NOTHING, too_deep=NOTHING)
    words = laws_section(report, report.splits[0]).content
    assert "dream keeps energy at 0.80" in words and "cannot read" not in words and "F1 N/A" not in words


@pytest.mark.parametrize(
    ("skill", "said"),
    [
        (Interval(0.4, 0.3, 0.5), ", better than a copied frame"),
        (Interval(-0.4, -0.5, -0.3), ", worse than a copied frame"),
        (Interval(0.1, -0.1, 0.3), ", not to be told from a copied frame"),
        (NOTHING, "itself misses, and stays"),
    ],
)
def test_better_than_a_copy_is_said_by_the_interval(skill: Number, said: str) -> None:
    report = with_row(skill=skill)
    assert said in states_section(report, report.splits[0]).content


def test_one_cluster_tells_no_bounds() -> None:
    told = Cells(25).number(Interval(3.0, -np.inf, np.inf), ".0f")
    assert told == "3\n-inf to > 25"


def test_the_worst_cases_of_a_game_are_by_psnr() -> None:
    frames = np.zeros((3, 16, 16, 3), np.uint8)
    film = Film("dream", 4, 2, 21.3, "psnr", frames, frames)
    report = replace(physics_report(["dream"]), films=[film])
    section = worst_section(report, 10.0)
    assert section is not None and "PSNR 21.3 dB" in section.content and "nRMSE" not in section.content
    assert physics_numbers(report)["films"] == [{"model": "dream", "context": 4, "episode": 2, "psnr": 21.3}]


def test_a_game_has_no_usable_horizon_to_show_and_no_place_to_be_right_about() -> None:
    report = with_row(usable=NOTHING, nrmse=NOTHING, present=Interval(0.9, 0.8, 1.0))
    said = [card.meaning for card in cards(report)]
    assert not any("usable horizon" in meaning for meaning in said)
    assert not any("where it should be" in meaning for meaning in said)
