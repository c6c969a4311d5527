"""What the sections on long dreams, memory and chance say follows from the numbers."""

from dataclasses import replace

import numpy as np
import pytest

from worldmodel.evaluation.chance import Chance, Spread, Whereabouts
from worldmodel.evaluation.long_dreams import Difference, LongDreams, Window
from worldmodel.evaluation.memory import COPY, FULL, GUESS, Duration, Film, Permanence, Recall
from worldmodel.evaluation.objects import ObjectCount
from worldmodel.evaluation.statistics import Interval
from worldmodel.report.chance_section import chance_section
from worldmodel.report.long_section import long_section
from worldmodel.report.memory_section import memory_section

NONE = float("nan")


def exactly(value: float) -> Interval:
    return Interval(value, value, value)


def frames(*shape: int) -> np.ndarray:
    return np.zeros((*shape, 8, 8, 3), np.uint8)


def long_dreams() -> LongDreams:
    near, far = Difference(0.4, 0.2, exactly(0.5)), Difference(9.0, 3.0, Interval(-40.0, -45.0, -30.0))
    windows = [Window(1, 2, near, near, near), Window(9, 10, far, None, None)]
    puck = ObjectCount("puck", 2, 20.0, [1.0] * 10, [exactly(1.0), exactly(0.25)], [1.0, None], 0.99, True)
    ghost = ObjectCount("ghost", 0, 5.0, None, [None, None], [None, None], None, False)
    return LongDreams(
        dreams=2,
        steps=10,
        real_frames=500,
        windows=windows,
        floor=Difference(0.3, 0.1, exactly(0.2)),
        gradient=[1.0] * 10,
        called_end=0.5,
        first_end=7.0,
        objects=[puck, ghost],
        objects_reason="",
        simulator_reason="",
        shown_steps=[0, 1, 10],
        shown=frames(2, 3),
        films=frames(2, 10),
    )


def test_blur_vanished_objects_and_ends_are_said() -> None:
    text = long_section(long_dreams(), fps=10.0).content
    assert "50% call one, at step 7 in the median" in text
    assert "Frames 10 to 10 differ from real ones by 9.0 % in colour and -40.0 % in gradient energy" in text
    assert "among themselves by 0.3 % and 0.2 %" in text
    assert "At the end 25.0% of the objects are there; worst off is puck with 25.0%" in text
    assert "Not told apart by colour: ghost" in text and "puck, simulator" in text


def test_what_a_long_dream_could_not_be_held_against_is_said() -> None:
    alone = replace(
        long_dreams(),
        objects=None,
        objects_reason="It has no masks.",
        simulator_reason="Gone.",
        called_end=0.0,
    )
    text = long_section(alone, fps=10.0).content
    assert "Objects were not counted: It has no masks." in text and "No simulator beside it: Gone." in text
    assert "simulator, same actions" not in text and "before its end" not in text


def permanence(on_time: float) -> Permanence:
    recall = Recall(
        exactly(1.0), Interval(on_time, on_time - 0.1, on_time + 0.1), exactly(1.0), exactly(-1.0), None
    )
    guess = Recall(exactly(1.0), exactly(0.4), exactly(3.0), exactly(0.0), exactly(9.0))
    never = Recall(exactly(0.0), exactly(0.0), None, None, None)
    rows = {FULL: recall, "window_4": never, COPY: never, GUESS: guess}
    films = [Film(10, frames(12), {FULL: frames(12), "window_4": frames(11)})]
    return Permanence([Duration(8, 12, 30, 20, rows)], {FULL: 45, "window_4": 9}, films)


@pytest.mark.parametrize(("on_time", "words"), [(0.8, "it remembers."), (0.45, "is not shown here")])
def test_remembering_is_being_better_than_a_guess(on_time: float, words: str) -> None:
    text = memory_section(permanence(on_time), fps=10.0).content
    assert f"{on_time:.0%} come out on time in the dream; by guessing 40% would: " in text and words in text
    assert "dream, window of 4 (at most 9 steps back)" in text and "last frame copied" in text


def chance(ratio: float, real: float = 5.0) -> Chance:
    ratios = [exactly(ratio if real else NONE)] * 8
    spread = Spread([ratio * real] * 8, [real] * 8, ratios)
    enemies = Whereabouts("enemies", spread, [12.0] * 8, [10.0] * 8)
    return Chance(
        4, 6, "state", spread, spread, [enemies], [(1.0, 0.9)] * 8, 8, frames(), frames(4), frames(4)
    )


def test_too_little_too_far_or_as_in_reality() -> None:
    assert "spread too little" in chance_section(chance(0.1)).content
    assert "spread too far" in chance_section(chance(2.0)).content
    text = chance_section(chance(1.0)).content
    assert "spread as reality does" in text and "enemies: places differ (%)" in text
    assert "nothing is left to chance here" in chance_section(chance(1.0, real=0.0)).content
