"""Collecting: the same content whoever collects it, and one sentence for everything that can go wrong."""

from dataclasses import replace
from pathlib import Path

import pytest
from data_helpers import HELD, content_hash, counting

from worldmodel.data.collect import collect
from worldmodel.data.manifest import Manifest
from worldmodel.errors import DatasetError, EnvError, WorldModelError
from worldmodel.files import exclusive_lock


def test_workers_do_not_change_the_content(tmp_path: Path) -> None:
    for workers in (0, 2):
        collect(counting(), HELD, tmp_path / str(workers), 20, workers=workers, episodes_per_shard=4)
    assert content_hash(tmp_path / "0") == content_hash(tmp_path / "2")


def test_episodes_depend_on_the_seed(tmp_path: Path) -> None:
    first, second = (collect(counting(), HELD, tmp_path / str(seed), 4, seed, workers=0) for seed in (0, 1))
    assert not set(first.seeds) & set(second.seeds)


def test_finished_dataset_is_not_collected_again(tmp_path: Path) -> None:
    collect(counting(), HELD, tmp_path / "data", 6, workers=0)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*.npy")}
    assert collect(counting(), HELD, tmp_path / "data", 6, workers=0).episodes == 6
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*.npy")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed = 0, not 1"),
        ({"episodes": 7}, "episodes = 6, not 7"),
        ({"env": counting(discrete=True)}, "env.kwargs.discrete"),
        ({"policy": {**HELD, "max_hold": 4}}, "policy.max_hold = 3, not 4"),
        ({"max_steps": 5}, "max_steps = 1000, not 5"),
    ],
)
def test_other_options_for_the_same_folder(tmp_path: Path, change: dict, message: str) -> None:
    options = {"env": counting(), "policy": HELD, "out": tmp_path / "data", "episodes": 6, "workers": 0}
    collect(**options)
    before = content_hash(tmp_path / "data")
    with pytest.raises(DatasetError, match=message):
        collect(**{**options, **change})
    assert content_hash(tmp_path / "data") == before


def test_foreign_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(DatasetError, match="is not empty and is not a dataset"):
        collect(counting(), HELD, tmp_path, 6, workers=0)
    with pytest.raises(DatasetError, match="is a file"):
        collect(counting(), HELD, tmp_path / "thesis.tex", 6, workers=0)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_two_collections_into_one_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with (
        exclusive_lock(tmp_path / "data" / ".lock", "unused"),
        pytest.raises(WorldModelError, match="Another process is collecting into"),
    ):
        collect(counting(), HELD, tmp_path / "data", 6, workers=0)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"id": "worldmodel/Posh-v0"}, "There is no environment 'worldmodel/Posh-v0'.*worldmodel/Push-v0"),
        ({"id": "no_such_module:Thing-v0"}, "cannot be made: No module named 'no_such_module'"),
        ({"size": 32}, "env.id is missing"),
        ({"id": "x", "colour": 3}, "env.colour is not an option; the options are id, size"),
        (counting(nonsense=1), "cannot be made: .*nonsense"),
        (counting(fault="blank"), r"drew a frame of one colour \[0, 0, 0\] .*allow_blank_frames"),
        (counting(fault="frozen"), "draws the same picture whatever happens"),
        (counting(fault="nan"), "gave the reward nan at step 1"),
    ],
)
def test_environments_that_cannot_be_collected(tmp_path: Path, env: dict, message: str) -> None:
    with pytest.raises(EnvError, match=message) as caught:
        collect(env, HELD, tmp_path / "data", 6, workers=0)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.npy"))


def test_blank_frames_can_be_allowed(tmp_path: Path) -> None:
    env = counting(fault="blank")
    assert collect(env, HELD, tmp_path / "data", 3, workers=0, allow_blank_frames=True).episodes == 3


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({}, "policy._target_ is missing"),
        ({"_target_": "worldmodel.agents.exploration.Heroic"}, "Heroic"),
        ({**HELD, "courage": 1}, "courage"),
    ],
)
def test_policies_that_cannot_be_made(tmp_path: Path, policy: dict, message: str) -> None:
    with pytest.raises(WorldModelError, match=message):
        collect(counting(), policy, tmp_path / "data", 6, workers=0)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("fault", "message"),
    [("raises", "RuntimeError: the table broke; workers=0 shows where"), ("dies", "was killed by SIGKILL")],
)
def test_failing_worker_gives_one_sentence(tmp_path: Path, fault: str, message: str) -> None:
    """The fault is raised for the first step after trying the environment: the dataset is begun by hand."""
    begin(tmp_path / "data", fault)
    with pytest.raises(WorldModelError, match=message) as caught:
        collect(counting(fault=fault), HELD, tmp_path / "data", 6, workers=1, episodes_per_shard=2)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "data" / "shards").iterdir())  # nothing half-written stays behind


def begin(folder: Path, fault: str) -> None:
    """An empty dataset of an environment with `fault`, as if it had worked when it was tried."""
    collect(counting(), HELD, folder, 6, workers=0, episodes_per_shard=2)
    for shard in (folder / "shards").iterdir():
        for file in shard.iterdir():
            file.unlink()
        shard.rmdir()
    manifest = Manifest.read(folder)
    replace(manifest, env={**manifest.env, "kwargs": {"fault": fault}}).write(folder)
