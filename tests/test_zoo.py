"""Shipped worlds: found by name, offline, and never by surprise."""

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from tiny_world import tiny_world_model

from worldmodel import zoo
from worldmodel.errors import CheckpointError
from worldmodel.files import atomic_directory
from worldmodel.model.checkpoint import find_checkpoint, load_world_model, save_world_model
from worldmodel.report.calibrate import calibrate


def put(folder: Path) -> Path:
    with atomic_directory(folder) as temporary:
        save_world_model(tiny_world_model(), temporary)
    return folder


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zoo of one world, `push`, and an empty working folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(zoo, "SHELF", tmp_path / "zoo")
    return put(tmp_path / "zoo" / "push").parent


def test_a_shipped_world_is_an_environment_by_its_name(shelf: Path) -> None:
    env = gym.make("worldmodel/Dream-v0", checkpoint="push")
    assert env.reset(seed=0)[0].shape == (8, 8, 3)
    envs = gym.make_vec("worldmodel/Dream-v0", num_envs=3, checkpoint="zoo:push")
    envs.reset(seed=0)
    assert np.isfinite(envs.step(envs.action_space.sample())[4]["uncertainty"]).all()
    assert find_checkpoint("push") == shelf / "push"


def test_an_unknown_name_lists_the_shipped_ones(shelf: Path) -> None:
    with pytest.raises(CheckpointError, match=r"There is no checkpoint at pusch: .*shipped world: push\.$"):
        load_world_model("pusch")
    with pytest.raises(
        CheckpointError, match=r"no shipped world 'pusch' \(did you mean 'push'\?\).*: push\.$"
    ):
        load_world_model("zoo:pusch")
    with pytest.raises(
        CheckpointError, match=r"at runs/push: give the folder that `worldmodel train` wrote\.$"
    ):
        load_world_model("runs/push")


def test_a_folder_that_is_no_checkpoint_does_not_hide_a_name(shelf: Path) -> None:
    """`out=push` of a collection or a report makes such a folder."""
    Path("push").mkdir()
    assert find_checkpoint("push") == shelf / "push"
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        find_checkpoint("./push")


def test_neither_of_two_worlds_of_one_name_is_taken_silently(shelf: Path) -> None:
    """`worldmodel train out=push`, then `checkpoint=push`: either would be a surprise."""
    put(Path("push"))
    with pytest.raises(CheckpointError, match=r"say zoo:push or \./push\.$"):
        find_checkpoint("push")
    assert find_checkpoint("zoo:push") == shelf / "push"
    assert find_checkpoint("./push") == find_checkpoint(Path("push")) == Path("push")


def test_a_path_is_never_a_name(shelf: Path) -> None:
    with pytest.raises(CheckpointError, match="There is no checkpoint at push"):
        find_checkpoint(Path("push"))


def test_a_shipped_world_is_not_changed_where_it_is_installed(shelf: Path) -> None:
    with pytest.raises(CheckpointError, match="push is a shipped world"):
        calibrate("push", data="unread")


def test_what_is_shipped_keeps_its_size() -> None:
    """At most 16 MB a world and 48 MB in all, inside the wheel."""
    sizes = {
        name: sum(f.stat().st_size for f in zoo.folder(name).rglob("*") if f.is_file())
        for name in zoo.names()
    }
    assert all(size <= 16e6 for size in sizes.values()), sizes
    assert sum(sizes.values()) <= 48e6, sizes


@pytest.mark.parametrize("name", zoo.names())
def test_a_shipped_world_dreams(name: str) -> None:
    env = gym.make("worldmodel/Dream-v0", checkpoint=name)
    env.reset(seed=0)
    frame, *_, info = env.step(env.action_space.sample())
    assert frame.dtype == np.uint8 and np.isfinite(info["uncertainty"])
    assert "## Licence" in (zoo.folder(name) / "README.md").read_text(encoding="utf-8")
