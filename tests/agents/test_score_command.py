"""`worldmodel agent score`: any policy, from the same first states."""

from pathlib import Path

import pytest
from tiny_world import tiny_world_model

from worldmodel.agents.learning.actor_critic import ActorCritic
from worldmodel.agents.learning.storage import save_policy
from worldmodel.cli import main
from worldmodel.files import atomic_directory, read_json
from worldmodel.model.checkpoint import save_world_model

QUICK = ["episodes=2", "device=cpu"]
PUSH = ["env=push", "env.size=8", "+env.kwargs.max_episode_steps=12"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint and an agent's run folder."""
    folder, model = tmp_path_factory.mktemp("score"), tiny_world_model()
    with atomic_directory(folder / "checkpoint") as temporary:
        save_world_model(model, temporary)
    agent = ActorCritic(model.world.frame_shape, model.world.action_space, channels=4, hidden=8)
    save_policy(agent, folder / "run" / "policy")
    return folder / "checkpoint", folder / "run"


def score(out: Path, *overrides: str) -> dict:
    assert main(["agent", "score", f"out={out}", *QUICK, *overrides]) == 0
    return read_json(out / "score.json")


def test_a_trained_agent_in_reality_and_in_its_dreams(
    tmp_path: Path, world: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, run = world
    content = score(tmp_path, f"policy.path={run}", f"checkpoint={checkpoint}")
    assert content["gap"]["pairs"] == 2 and content["checkpoint"] == str(checkpoint)
    assert content["policy"]["path"] == str(run)
    assert len(content["agent"]["returns"]) == len(content["random"]["returns"]) == 2
    low, high = content["agent"]["iqm_interval"]
    assert low <= content["agent"]["iqm"] <= high
    assert "dream minus real return, from the same 2 starts" in capsys.readouterr().out


def test_every_other_policy_meets_the_same_first_states(tmp_path: Path, world: tuple[Path, Path]) -> None:
    held = score(tmp_path / "held", "policy=held", *PUSH)
    again = score(tmp_path / "again", "policy=held", *PUSH)
    other = score(tmp_path / "other", f"policy.path={world[1]}", *PUSH)
    assert held["agent"] == again["agent"] and held["gap"] is None
    assert held["random"] == other["random"], "and so do random actions"
    assert held["agent"]["returns"] != other["agent"]["returns"]


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["policy=random"], "Give checkpoint=, a world model, or env="),
        (["policy=random", "env=push", "checkpoint=x"], "one of them"),
        (["env=push"], "policy.path is missing"),
        (["policy.path=nowhere", "env=push"], "There is no agent at"),
    ],
)
def test_mistakes_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], sentence: str
) -> None:
    assert main(["agent", "score", f"out={tmp_path}", *QUICK, *overrides]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert sentence in lines[-1] and len(lines) == 1


def test_frames_of_another_size_are_refused(
    tmp_path: Path, world: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    size = ["env=push", "env.size=16", f"policy.path={world[1]}"]
    assert main(["agent", "score", f"out={tmp_path}", *QUICK, *size]) == 2
    assert (
        "The agent sees frames of shape (8, 8, 3), the environment draws (16, 16, 3)"
        in capsys.readouterr().err
    )
