"""`worldmodel agent train` from the command line to its files, in both worlds, and what it says about mistakes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_world import tiny_world_model

from worldmodel.agents.learning.storage import load_policy
from worldmodel.cli import main
from worldmodel.files import atomic_directory, read_json, write_json
from worldmodel.model.checkpoint import save_world_model
from worldmodel.model.state import Transition
from worldmodel.model.world_model import WorldModel

QUICK = ["frames=64", "num_worlds=4", "horizon=4", "ppo.rollout_steps=4", "ppo.epochs=1", "ppo.minibatches=1"]
QUICK += ["network.channels=4", "network.hidden=8", "episodes=2", "device=cpu"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "checkpoint"
    with atomic_directory(folder) as temporary:
        save_world_model(tiny_world_model(), temporary)
    return folder


def agent(out: Path, *overrides: str) -> int:
    return main(["agent", "train", f"out={out}", *QUICK, *overrides])


def test_learn_in_the_dream_and_score_in_reality(tmp_path: Path, checkpoint: Path) -> None:
    assert agent(tmp_path, f"checkpoint={checkpoint}") == 0
    score = read_json(tmp_path / "score.json")
    assert score["trained"]["world"] == "dream" and score["trained"]["frames"] == 64
    for name in ("agent", "random"):
        assert len(score[name]["returns"]) == 2
        low, high = score[name]["interval"]
        assert low <= score[name]["mean"] <= high
    assert score["gap"]["pairs"] == 2
    assert [row["frames"] for row in read_json(tmp_path / "learning_curve.json")["rows"]] == [16, 32, 48, 64]
    assert (tmp_path / "policy" / "policy.safetensors").exists()


def test_a_short_horizon_with_penalty_and_checks(tmp_path: Path, checkpoint: Path) -> None:
    doubts = ["num_inference_steps=2", "uncertainty_penalty=0.01", "horizon=2"]
    checks = ["check.frames=400", "check.every=2", "check.episodes=2", "check.tolerance=1e6"]
    assert agent(tmp_path, f"checkpoint={checkpoint}", *doubts, *checks) == 0
    found = read_json(tmp_path / "exploit.json")
    assert found["rows"] and found["rows"][0]["update"] == 2 and "tolerance" in found["rule"]
    trained = read_json(tmp_path / "score.json")["trained"]
    assert trained["real_frames"] == found["real_frames"] > 0 and trained["stopped"] is False
    curve = read_json(tmp_path / "learning_curve.json")
    assert 0 < curve["outside"] < 1
    assert all(row["uncertainty"] > 0 and row["penalty"] == 0.01 for row in curve["rows"])
    assert (tmp_path / "learning_curve.png").read_bytes().startswith(b"\x89PNG")


def test_going_on_from_another_agent(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert agent(tmp_path / "first", f"checkpoint={checkpoint}") == 0
    onward = [f"checkpoint={checkpoint}", f"weights={tmp_path / 'first'}"]
    assert agent(tmp_path / "second", *onward, "frames=4", "ppo.learning_rate=1e-9") == 0
    first, second = (load_policy(tmp_path / name / "policy") for name in ("first", "second"))
    torch.testing.assert_close(first.actor[0].weight, second.actor[0].weight)
    assert agent(tmp_path / "third", *onward, "network.hidden=16") == 2
    assert "has another network" in capsys.readouterr().err


def test_dreams_in_bfloat16(tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    step = WorldModel.step

    def watched(self: WorldModel, *arguments: Any) -> Transition:
        seen.append(self.precision)
        return step(self, *arguments)

    monkeypatch.setattr(WorldModel, "step", watched)
    assert agent(tmp_path / "half", f"checkpoint={checkpoint}", "precision=bfloat16") == 0
    assert set(seen) == {"bfloat16"}
    seen.clear()
    assert agent(tmp_path / "whole", f"checkpoint={checkpoint}") == 0
    assert set(seen) == {"float32"}


def test_a_run_from_before_goes_on(tmp_path: Path, checkpoint: Path) -> None:
    """Settings written by versions that knew no precision, or let agents choose what to see."""
    assert agent(tmp_path, f"checkpoint={checkpoint}") == 0
    settings = read_json(tmp_path / "settings.json")
    del settings["precision"]
    write_json(tmp_path / "settings.json", {**settings, "observation": "frames"})
    assert agent(tmp_path, f"checkpoint={checkpoint}") == 0


def test_learn_in_reality_without_a_checkpoint(tmp_path: Path) -> None:
    assert agent(tmp_path, "world=real", "env=push", "env.size=8") == 0
    score = read_json(tmp_path / "score.json")
    assert score["trained"]["world"] == "real" and score["gap"] is None
    assert score["env"]["id"] == "worldmodel/Push-v0"


def test_again_changes_nothing_and_more_frames_go_on(tmp_path: Path, checkpoint: Path) -> None:
    assert agent(tmp_path, f"checkpoint={checkpoint}") == 0
    first = (tmp_path / "score.json").stat().st_mtime_ns, (tmp_path / "score.json").read_bytes()
    assert agent(tmp_path, f"checkpoint={checkpoint}") == 0
    assert ((tmp_path / "score.json").stat().st_mtime_ns, (tmp_path / "score.json").read_bytes()) == first
    assert agent(tmp_path, f"checkpoint={checkpoint}", "frames=96") == 0
    assert read_json(tmp_path / "score.json")["trained"]["frames"] == 96
    assert len(read_json(tmp_path / "learning_curve.json")["rows"]) == 6


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["world=sleep"], "world is 'sleep', expected dream or real"),
        ([], "world=dream needs checkpoint="),
        (["world=real"], "world=real needs env="),
        (["world=real", "checkpoint=x", "env=push"], "not both"),
        (["checkpoint=nowhere"], "no checkpoint at nowhere"),
        (["checkpoint=nowhere", "frames=null"], "no checkpoint at nowhere"),
        (["world=real", "env=push", "weights=nowhere"], "no agent at nowhere"),
        (["world=real", "env=push", "frames=null"], "give frames= or minutes="),
        (["world=real", "env=push", "ppo.gama=1"], "no key ppo.gama"),
        (["world=real", "env=push", "env.id=worldmodel/Pusch-v0"], "close matches: worldmodel/Push-v0"),
    ],
)
def test_mistakes_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], sentence: str
) -> None:
    assert agent(tmp_path / "run", *overrides) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert sentence in lines[-1], lines
    assert len(lines) == 1


def test_horizon_and_rollout_must_fit(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert agent(tmp_path, f"checkpoint={checkpoint}", "horizon=6") == 2
    assert "horizon=6 and ppo.rollout_steps=4 must divide" in capsys.readouterr().err


def test_another_setting_needs_another_folder(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert agent(tmp_path, f"checkpoint={checkpoint}") == 0
    assert agent(tmp_path, f"checkpoint={checkpoint}", "horizon=8") == 2
    assert "was started with horizon=4, not 8" in capsys.readouterr().err


def test_an_uncalibrated_world_cannot_be_penalised(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for wish in (["uncertainty_penalty=0.1"], ["check.frames=100", "check.on_exploit=penalise"]):
        assert agent(tmp_path, f"checkpoint={checkpoint}", *wish) == 2
        assert "'measurements.passes=[1]'" in capsys.readouterr().err
    assert not (tmp_path / "settings.json").exists()


@pytest.mark.parametrize(
    "override, sentence",
    [("num_worlds=0", "At least one world"), ("seed=-1", "seed from 0"), ("episodes=0", "episodes is 0")],
)
def test_numbers_that_cannot_be_are_refused_before_it_learns(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str], override: str, sentence: str
) -> None:
    assert agent(tmp_path / "run", f"checkpoint={checkpoint}", override) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_last_policy_is_kept_too_where_worlds_do_not_divide_the_frames(
    tmp_path: Path, checkpoint: Path
) -> None:
    assert agent(tmp_path, f"checkpoint={checkpoint}", "frames=66", "snapshots=2") == 0
    kept = sorted(int(path.name) for path in (tmp_path / "snapshots").glob("[0-9]*"))
    assert kept == [32, 64]
