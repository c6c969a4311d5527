"""Collecting: the same content whoever collects it, and one sentence for everything that can go wrong."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from counting_data import HELD, content_hash, counting

from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.manifest import Manifest
from worldmodel.data.recorder import Recorder
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


@pytest.mark.parametrize("workers", [0, 2])
def test_a_dataset_can_be_extended(tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the new episodes are played, and the result is what asking for all of them at once gives."""
    options = {"env": counting(), "policy": HELD, "episodes_per_shard": 4}
    collect(**options, out=tmp_path / "at once", episodes=11, workers=0)
    collect(**options, out=tmp_path / "grown", episodes=6, workers=0)
    played: list[int] = []
    record = Recorder.__call__
    monkeypatch.setattr(Recorder, "__call__", lambda self, n: played.append(n) or record(self, n))
    assert collect(**options, out=tmp_path / "grown", episodes=11, workers=workers).episodes == 11
    assert played == ([6, 7, 8, 9, 10] if workers == 0 else [])  # workers play in their own processes
    assert content_hash(tmp_path / "grown") == content_hash(tmp_path / "at once")


def test_killed_while_extending(tmp_path: Path) -> None:
    """Until the last new shard is there, the dataset stays the old one, though one shard may already hold more."""
    options = {"env": counting(), "policy": HELD, "workers": 0, "episodes_per_shard": 4}
    whole = collect(**options, out=tmp_path / "whole", episodes=11)
    small = collect(**options, out=tmp_path / "grown", episodes=6)
    shutil.rmtree(small.path / "shards" / "00001")
    shutil.copytree(whole.path / "shards" / "00001", small.path / "shards" / "00001")
    for verify in (True, False):
        dataset = EpisodeDataset(small.path, verify)
        assert (dataset.episodes, dataset.transitions) == (6, int(whole.lengths[:6].sum()))
        assert len(dataset.rewards) == len(dataset.actions) == dataset.transitions
        for index in range(6):
            np.testing.assert_array_equal(dataset.episode(index).frames, whole.episode(index).frames)
    collect(**options, out=tmp_path / "grown", episodes=11)
    assert content_hash(tmp_path / "grown") == content_hash(tmp_path / "whole")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed = 0, not 1"),
        ({"episodes": 5}, "episodes = 6, more than 5"),
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


@pytest.mark.parametrize("frames", [40, 200])
def test_a_budget_of_frames_is_filled_and_never_passed(tmp_path: Path, frames: int) -> None:
    """However long episodes turn out to be: they are 4 to 12 steps here, and may be up to 20 for all that is known."""
    options = {"env": counting(), "policy": HELD, "episodes_per_shard": 4, "max_steps": 20, "workers": 0}
    dataset = collect(**options, out=tmp_path / "a", episodes=1000, frames=frames)
    assert frames - 20 < dataset.transitions <= frames
    again = collect(**options, out=tmp_path / "a", episodes=1000, frames=frames)
    assert again.episodes == dataset.episodes
    collect(**options, out=tmp_path / "b", episodes=dataset.episodes)
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "b")
    assert collect(**options, out=tmp_path / "c", episodes=2, frames=frames).episodes == 2
    fewer = dataset.transitions - 1
    with pytest.raises(DatasetError, match=f"frames already, more than frames={fewer}: choose another out"):
        collect(**options, out=tmp_path / "a", episodes=1000, frames=fewer)
    with pytest.raises(DatasetError, match="frames=19 is less than one episode may take"):
        collect(**options, out=tmp_path / "d", episodes=1000, frames=19)
