"""In a dream that is known exactly, the way to the goal is found exactly; frames of another world are refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sliding_world import SPEED, SlidingWorld, picture
from tiny_world import CONTEXT, SIZE, tiny_world_model

from worldmodel.agents.planning.connect import ConnectConfig, Connection, connect
from worldmodel.agents.planning.planner import PlannerConfig
from worldmodel.errors import WorldModelError

SEARCH = PlannerConfig(hold=2, candidates=40, iterations=8, elites=5, least_std=0.01)
CONFIG = ConnectConfig(steps=6, planner=SEARCH, random_plans=12)


def square(*places: tuple[float, float]) -> np.ndarray:
    return picture(torch.tensor(places)).numpy()


def joined(config: ConnectConfig, *goal: tuple[float, float], model: Any = None) -> Connection:
    world = model or SlidingWorld()
    return connect(world, square((5.0, 5.0)), None, square(*goal), config, quiet=True)


def test_the_goal_is_reached_where_the_dream_is_right() -> None:
    found = joined(CONFIG, (12.0, 10.0))
    end = np.array([5.0, 5.0]) + SPEED * found.actions.sum(axis=0)
    np.testing.assert_allclose(end, [12.0, 10.0], atol=0.25)
    assert found.frames.shape[0] == len(found.actions) == 6 and found.actions.dtype == np.float32
    assert found.distance < 0.02 * found.before and found.error < 5 < found.error_before
    numbers = found.plausibility()
    assert numbers["random_plans_nearer"] == 0 and numbers["random_plans"] == 12
    assert numbers["error"]["expected_by_the_dream"] == 1.0


def test_it_arrives_when_it_can() -> None:
    """11 pixels at most 2 a step: not before the sixth step, and then no later than need be to stand still."""
    found = joined(replace(CONFIG, steps=(2, 10)), (16.0, 5.0))
    assert 6 <= len(found.actions) <= 10
    assert found.distance < 0.05 * found.before


def test_motion_is_met_too() -> None:
    """The square must go past its goal and come back, to be there while it moves to the left."""
    config = replace(CONFIG, planner=replace(SEARCH, candidates=100, elites=12))
    found = joined(config, (10.0, 5.0), (8.0, 5.0))
    assert found.actions[-1, 0] < -0.8
    alone = joined(replace(config, motion=False), (10.0, 5.0), (8.0, 5.0))
    np.testing.assert_allclose(5 + SPEED * alone.actions[:, 0].sum(), 10.0, atol=0.25)


def test_the_same_again() -> None:
    first, again = (joined(CONFIG, (12.0, 10.0)) for _ in range(2))
    np.testing.assert_array_equal(first.actions, again.actions)
    other = joined(replace(CONFIG, seed=1), (12.0, 10.0))
    assert not np.array_equal(first.actions, other.actions)


def test_the_context_is_what_is_known() -> None:
    model = SlidingWorld()
    start, goal = square((5.0, 5.0), (6.0, 5.0), (7.0, 5.0)), square((9.0, 5.0))
    few = replace(CONFIG, planner=replace(SEARCH, iterations=1))
    connect(model, start, np.zeros((2, 2), np.float32), goal, few, quiet=True)  # type: ignore[arg-type]
    connect(model, start, None, goal, few, quiet=True)  # type: ignore[arg-type]
    assert model.begun == [3, 1], "without actions, the last frame alone"


def test_it_costs_what_it_says() -> None:
    counted: list[int] = []

    class Counted(SlidingWorld):
        def step(self, state: Any, action: torch.Tensor, num_inference_steps: int | None = None) -> Any:
            counted.append(len(action))
            return super().step(state, action, num_inference_steps)

    config = replace(CONFIG, steps=5)
    joined(config, (12.0, 10.0), model=Counted())
    assert sum(counted) == config.frames == 8 * 40 * 5 + 13 * 5


def test_a_world_model_is_connected() -> None:
    model = tiny_world_model()
    config = ConnectConfig(3, replace(SEARCH, candidates=6, iterations=2), random_plans=2)
    start, actions = model.contexts.frames[0].numpy(), model.contexts.actions[0].numpy()
    goal = model.contexts.frames[1].numpy()
    found = connect(model, start, actions, goal, config, quiet=True)
    assert found.frames.shape == (3, SIZE, SIZE, 3) and found.actions.shape == (3, 2)
    assert found.expected_error is not None and found.uncertainty.shape == (3,)
    assert len(start) == CONTEXT


@pytest.mark.parametrize(
    ("start", "actions", "goal", "sentence"),
    [
        (
            np.zeros((2, 9, 9, 3), np.uint8),
            None,
            None,
            "The start has frames uint8 .* this world draws uint8",
        ),
        (None, None, np.zeros((0, 24, 24, 3), np.uint8), "The goal has frames uint8"),
        (None, None, np.zeros((1, 24, 24, 3), np.float32), "The goal has frames float32"),
        (None, np.zeros((3, 2), np.float32), None, "leave them out"),
    ],
)
def test_frames_of_another_world(
    start: np.ndarray | None, actions: np.ndarray | None, goal: np.ndarray | None, sentence: str
) -> None:
    one = square((5.0, 5.0))
    with pytest.raises(WorldModelError, match=sentence):
        connect(
            SlidingWorld(),  # type: ignore[arg-type]
            one if start is None else start,
            actions,
            one if goal is None else goal,
            CONFIG,
            quiet=True,
        )


@pytest.mark.parametrize(
    "settings", [{"steps": 0}, {"steps": (5, 3)}, {"random_plans": 0}, {"seed": -1}], ids=str
)
def test_settings_that_make_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises(WorldModelError):
        ConnectConfig(**settings)
