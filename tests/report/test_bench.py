"""worldmodel bench: a table on the terminal, a page and every number."""

import json
from pathlib import Path
from typing import Any

import pytest

from worldmodel.cli import main

QUICK = [
    "model=debug",
    "env.size=8",
    "measurements.batches=[1,2]",
    "measurements.threads=[1]",
    "measurements.parts_batch=2",
    "measurements.training_batch=2",
    "measurements.training_clip=2",
    "measurements.flat_steps=30",
    "measurements.seconds=0.01",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    assert main(["bench", *QUICK, f"out={folder}"]) == 0
    return folder


@pytest.fixture(scope="module")
def numbers(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "bench.json").read_text())


def test_the_numbers_are_all_there(numbers: dict[str, Any]) -> None:
    assert numbers["format"] == "worldmodel-bench" and numbers["weights"] == "random weights"
    assert numbers["frame_shape"] == [8, 8, 3] and numbers["passes"] == 2
    assert [speed["batch"] for speed in numbers["speeds"]] == [1, 2]
    assert all(speed["share_of_peak"]["float32"] > 0 for speed in numbers["speeds"])
    assert numbers["gflop_per_frame"] == pytest.approx(numbers["flops"]["total"] / 1e9)
    assert numbers["flatness"]["ratio"] > 0 and numbers["training"]["frames_per_second"] > 0
    assert numbers["real_over_imagined"] > 0


def test_the_page_stands_alone_and_says_who_is_faster(folder: Path) -> None:
    html = (folder / "bench.html").read_text()
    assert "<h2>Where the time goes</h2>" in html and "transformer: attention" in html
    assert "drawn at the same size by one process" in html
    assert "src=" not in html and "href=" not in html


def test_the_terminal_shows_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*QUICK[:6], "measurements.training_batch=0", "measurements.seconds=0.01", f"out={tmp_path}"]
    assert main(["bench", *words, "precision=bfloat16", "num_inference_steps=1"]) == 0
    out = capsys.readouterr().out
    assert "dreams at once     threads  ms p50" in out
    assert "in 1 passes; bf16 on cpu" in out
    assert f"all numbers: {tmp_path / 'bench.json'}" in out
    assert "Training:" not in out


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("precision=int3", "precision is 'int3'"),
        ("num_inference_steps=0", "num_inference_steps is 0"),
        ("checkpoint=nowhere", "There is no checkpoint at nowhere"),
        ("measurements.seconds=-1", "seconds is -1"),
    ],
)
def test_mistakes_are_one_sentence(
    word: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *QUICK[:6], f"out={tmp_path}", word]) == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
