"""Files appear whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from worldmodel.errors import WorldModelError
from worldmodel.files import (
    atomic_directory,
    atomic_write_text,
    crc32,
    exclusive_lock,
    read_json,
    remove_temporaries,
    write_json,
)


def test_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    for text in ("old", "new"):
        atomic_write_text(tmp_path / "folder" / "file", text)
    assert (tmp_path / "folder" / "file").read_text() == "new"
    assert len(list((tmp_path / "folder").iterdir())) == 1


def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    atomic_write_text(tmp_path / "file", "old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        atomic_write_text(tmp_path / "file", "new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("text", ["", "{", '{"a": 1', "\x00\x01"])
def test_broken_json_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(WorldModelError, match=r"a\.json is truncated or not JSON"):
        read_json(tmp_path / "a.json")


def test_missing_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorldModelError, match=r"a\.json does not exist"):
        read_json(tmp_path / "a.json")


def test_json_round_trip(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": [1, None], "a": "ü"})
    assert read_json(tmp_path / "a.json") == {"a": "ü", "b": [1, None]}


def test_directory_appears_when_done(tmp_path: Path) -> None:
    with atomic_directory(tmp_path / "target") as folder:
        (folder / "a").write_text("1")
        assert not (tmp_path / "target").exists()
    assert (tmp_path / "target" / "a").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_directory_vanishes_when_the_block_raises(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), atomic_directory(tmp_path / "target") as folder:
        (folder / "a").write_text("1")
        raise RuntimeError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("replace", "content"), [(True, "new"), (False, "old")])
def test_directory_that_is_there_already(tmp_path: Path, replace: bool, content: str) -> None:
    for text in ("old", "new"):
        with atomic_directory(tmp_path / "target", replace=replace) as folder:
            (folder / "a").write_text(text)
    assert (tmp_path / "target" / "a").read_text() == content
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_leftovers_of_a_killed_writer_are_removed(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), atomic_directory(tmp_path / "kept") as folder:
        leftover = tmp_path / folder.name.replace("kept", "killed")
        leftover.mkdir()
        (leftover / "half").write_text("1")
        raise KeyboardInterrupt
    (tmp_path / "other").write_text("1")
    remove_temporaries(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_lock_excludes_and_dies_with_its_holder(tmp_path: Path) -> None:
    code = (
        "import sys, time; from worldmodel.files import exclusive_lock\n"
        "with exclusive_lock(sys.argv[1], 'taken'):\n    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "lock"], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(WorldModelError, match="taken"), exclusive_lock(tmp_path / "lock", "taken"):
        pass
    holder.kill()
    holder.wait()
    with exclusive_lock(tmp_path / "lock", "taken"):
        pass


def test_crc32_is_the_standard_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"123456789")
    assert crc32(tmp_path / "a") == 0xCBF43926
