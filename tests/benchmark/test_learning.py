"""`worldmodel bench training`: trains for the steps asked for, measures, and takes other checkpoints beside it."""

import json

import pytest
from counting_data import HELD, counting
from training_settings import settings

from worldmodel.data.collect import collect
from worldmodel.errors import WorldModelError
from worldmodel.report.bench_training import bench_training

SMALL = {"contexts": 4, "dreams": 2, "long_steps": 5, "passes": [1]}


def arguments(**measurements):
    given = settings()
    return {
        "model": given["model"],
        "noise": given["noise"],
        "train": given["train"] | {"batch_size": 2},
        "measurements": SMALL | measurements,
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "counting"
    collect(env=counting(), policy=HELD, out=folder, episodes=12, workers=0)
    return str(folder)


def test_a_row_for_each_seed_and_for_what_is_compared(data, tmp_path):
    page = bench_training(data, str(tmp_path / "one"), **arguments(steps=3, seeds=[0, 1]))
    rows = json.loads((tmp_path / "one" / "learning.json").read_text())["rows"]
    assert [(row["name"], row["steps"], row["passes"]) for row in rows] == [
        ("seed_0", 3, 1),
        ("seed_1", 3, 1),
    ]
    assert all(len(row["psnr"]) == len(row["answer"]) > 1 for row in rows)
    assert "<svg" in page.read_text()
    other = arguments(steps=4) | {"compare": {"shorter": str(tmp_path / "one" / "seed_1")}}
    bench_training(data, str(tmp_path / "two"), **other)
    again = json.loads((tmp_path / "two" / "learning.json").read_text())["rows"]
    assert [row["name"] for row in again] == ["seed_0", "shorter"]
    assert again[1]["psnr"] == rows[1]["psnr"]


def test_minutes_become_steps_once(data, tmp_path):
    def steps():
        given = arguments(minutes=0.001, timing_seconds=0.5)
        bench_training(data, str(tmp_path), **given)
        return json.loads((tmp_path / "learning.json").read_text())["rows"][0]["steps"]

    first = steps()
    assert first == steps() >= 1, (
        "the same command goes on with the same run, however fast the machine is now"
    )


def test_nothing_to_train_is_refused(data, tmp_path):
    with pytest.raises(WorldModelError, match="seeds"):
        bench_training(data, str(tmp_path), **arguments(seeds=[]))
