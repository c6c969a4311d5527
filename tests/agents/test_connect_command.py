"""`worldmodel connect`: its files, its page, and the bench that goes on where it was stopped."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_world import SIZE, tiny_world_model

from worldmodel.agents.planning import connect_bench
from worldmodel.cli import main
from worldmodel.files import atomic_directory, read_json
from worldmodel.model.checkpoint import save_world_model
from worldmodel.report.video import has_ffmpeg

SEARCH = [
    "planner.candidates=4",
    "planner.iterations=1",
    "planner.elites=2",
    "planner.hold=2",
    "random_plans=2",
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("connect") / "world"
    with atomic_directory(folder) as temporary:
        save_world_model(tiny_world_model(), temporary)
    return folder


def test_two_clips_are_connected(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contexts, out = tiny_world_model().contexts, tmp_path / "out"
    np.savez(tmp_path / "a.npz", frames=contexts.frames[0].numpy(), actions=contexts.actions[0].numpy())
    np.savez(tmp_path / "b.npz", frames=contexts.frames[1].numpy())
    clips = [str(tmp_path / name) for name in ("a.npz", "b.npz")]
    assert main(["connect", *clips, f"checkpoint={world}", f"out={out}", "steps=[2,5]", *SEARCH]) == 0
    told = read_json(out / "connect.json")
    steps = told["plausibility"]["steps"]
    assert 2 <= steps <= 5 and told["goal_frames"] == 2 and told["start_actions_known"]
    actions = np.load(out / "actions.npy")
    assert actions.shape == (steps, 2) and actions.dtype == np.float32
    np.testing.assert_allclose(actions, told["actions"])
    assert len(told["uncertainty"]) == steps
    with Image.open(out / "connect.gif") as gif:
        assert gif.n_frames == len(contexts.frames[0]) + steps + len(contexts.frames[1]) - 2
    assert (out / "connect.mp4").exists() == has_ffmpeg()
    page = (out / "connect.html").read_text()
    assert "random plans come nearer" in page and 'src="http' not in page and "<video" in page
    printed = capsys.readouterr().out
    assert f"{steps} steps; distance to the goal" in printed and str(out / "connect.html") in printed


def test_a_picture_is_a_goal_and_a_picture_a_start(world: Path, tmp_path: Path) -> None:
    for number in range(2):
        Image.fromarray(tiny_world_model().contexts.frames[number, 0].numpy()).save(
            tmp_path / f"{number}.png"
        )
    pictures = [str(tmp_path / f"{number}.png") for number in range(2)]
    assert main(["connect", *pictures, f"checkpoint={world}", f"out={tmp_path}", "steps=3", *SEARCH]) == 0
    told = read_json(tmp_path / "connect.json")
    assert told["goal_frames"] == 1 and not told["start_actions_known"] and len(told["actions"]) == 3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere.mp4", "nowhere.png"], "nowhere.mp4 does not exist"),
        (["a.png", "a.png", "steps=0"], "steps is 0, expected at least 1"),
        (["a.png", "a.png", "steps=[3]"], "expected a whole number, or two"),
        (["a.png", "a.png", "planner.elites=9"], "both must be fewer"),
        (["large.png", "a.png"], "give fit=crop"),
    ],
)
def test_mistakes_are_one_sentence(
    world: Path,
    tmp_path: Path,
    words: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((SIZE, SIZE, 3), np.uint8)).save("a.png")
    Image.fromarray(np.zeros((2 * SIZE, SIZE, 3), np.uint8)).save("large.png")
    assert main(["connect", f"checkpoint={world}", f"out={tmp_path}/out", *SEARCH, *words]) == 2
    error = capsys.readouterr().err
    assert sentence in error and len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def bench(world: Path, out: Path, *words: str) -> int:
    return main(
        ["connect", "bench", f"checkpoint={world}", f"out={out}", "pairs=3", "steps=4", *SEARCH, *words]
    )


def test_the_bench_goes_on_where_it_was_stopped(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["random_sequences=3"]
    assert bench(world, tmp_path / "whole", *words) == 0
    assert "3 pairs:" in capsys.readouterr().out
    whole = read_json(tmp_path / "whole" / "connect_bench.json")
    assert [row["pair"] for row in whole["pairs"]] == [0, 1, 2]
    assert all(row["recorded"] == 0 for row in whole["pairs"]), "the recorded actions lead to the goal itself"
    assert set(whole["pairs"][0]["found_of_each"]) == {"agent", "puck"}
    agent = np.mean([row["found_of_each"]["agent"] for row in whole["pairs"]])
    assert whole["mean_of_each"]["found"]["agent"] == pytest.approx(agent)
    assert 0 <= whole["nearer_than"]["random_mean"] <= 1 and whole["count"] == 3

    real, calls = connect_bench.connect, []

    def interrupted(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(connect_bench, "connect", interrupted)
    assert bench(world, tmp_path / "part", *words) == 130
    assert read_json(tmp_path / "part" / "connect_bench.json")["count"] == 1
    assert bench(world, tmp_path / "part", *words) == 0
    assert len(calls) == 4, "the first pair is not done again"
    part = read_json(tmp_path / "part" / "connect_bench.json")
    assert json.dumps(part["pairs"]) == json.dumps(whole["pairs"])

    assert bench(world, tmp_path / "part", *words, "seed=1") == 2
    assert "was started with seed=0, not 1" in capsys.readouterr().err
