"""Scores of random actions and of the planner: in reality, in dreams, and what they cost."""

from pathlib import Path

import pytest
from tiny_world import tiny_world_model

from worldmodel.agents.tasks.unlearned import score_planner, score_random
from worldmodel.cli import main
from worldmodel.errors import WorldModelError
from worldmodel.files import atomic_directory, read_json
from worldmodel.model.checkpoint import save_world_model

SMALL = {"actions": 2, "hold": 1, "candidates": 4, "iterations": 1, "elites": 2, "replan_every": 2}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("world") / "checkpoint"
    with atomic_directory(folder) as temporary:
        save_world_model(tiny_world_model(), temporary)
    return str(folder)


def test_random_actions_in_reality_and_in_dreams(tmp_path: Path, checkpoint: str) -> None:
    score = read_json(score_random(str(tmp_path / "a"), checkpoint, episodes=3))
    assert len(score["agent"]["returns"]) == 3 and score["gap"]["pairs"] == 3
    alone = read_json(score_random(str(tmp_path / "b"), env=score["env"], episodes=3))
    assert alone["agent"] == score["agent"] and alone["gap"] is None
    again = read_json(score_random(str(tmp_path / "c"), checkpoint, episodes=3))
    assert again == score
    with pytest.raises(WorldModelError, match="one of them"):
        score_random(str(tmp_path), checkpoint, env=score["env"])


def test_the_planner_says_what_it_cost(tmp_path: Path, checkpoint: str) -> None:
    score = read_json(
        score_planner(str(tmp_path), checkpoint, SMALL, episodes=2, at_once=2, gap_episodes=1, device="cpu")
    )
    assert score["gap"]["pairs"] == 1
    steps, cost = score["agent"]["lengths"], score["cost"]
    assert cost["plans"] == sum(-(-length // 2) for length in steps)
    assert cost["frames_imagined"] == cost["plans"] * 4 * 2


def test_its_command(tmp_path: Path, checkpoint: str) -> None:
    words = [f"planner.{key}={value}" for key, value in SMALL.items()]
    out = tmp_path / "score"
    words += [f"checkpoint={checkpoint}", f"out={out}", "episodes=1", "gap_episodes=0"]
    assert main(["agent", "plan", *words]) == 0
    assert read_json(out / "score.json")["gap"] is None
