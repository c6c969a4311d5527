"""Damaged, missing and unknown files are found when a dataset is opened, named, and mended by collecting again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from counting_data import HELD, content_hash, counting

from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import DatasetError


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pristine") / "data"
    collect(counting(), HELD, out, 6, workers=0, episodes_per_shard=2)
    return out


@pytest.fixture
def dataset(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "data"))


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 4
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize("name", ["frames.npy", "actions.npy", "rewards.npy", "shard.json"])
@pytest.mark.parametrize("harm", [flip_a_bit, truncate, Path.unlink])
def test_harm_is_found_named_and_mended(
    dataset: Path, pristine: Path, name: str, harm: Callable[[Path], None]
) -> None:
    file = dataset / "shards" / "00001" / name
    harm(file)
    with pytest.raises(DatasetError) as caught:
        EpisodeDataset(dataset)
    assert str(file) in str(caught.value)
    assert "run collect again" in str(caught.value)
    collect(counting(), HELD, dataset, 6, workers=0, episodes_per_shard=2)
    assert content_hash(dataset) == content_hash(pristine)


def test_missing_shard(dataset: Path) -> None:
    shutil.rmtree(dataset / "shards" / "00001")
    with pytest.raises(
        DatasetError, match=r"is incomplete \(1 of its 3 shards are missing\): run collect again"
    ):
        EpisodeDataset(dataset)
    prefix = EpisodeDataset(dataset, incomplete=True)
    assert prefix.episodes == 2


def test_a_bit_that_turns_a_number_into_another(dataset: Path) -> None:
    """JSON that still parses: only its checksum tells."""
    for name in ("dataset.json", "shards/00000/shard.json"):
        file, before = dataset / name, (dataset / name).read_text()
        number = next(i for i, letter in enumerate(before) if letter in "0145" and before[i - 1] in " ")
        file.write_text(before[:number] + chr(ord(before[number]) ^ 1) + before[number + 1 :])
        with pytest.raises(DatasetError, match=f"{name} is damaged"):
            EpisodeDataset(dataset)
        file.write_text(before)
    EpisodeDataset(dataset)


def test_newer_version(dataset: Path) -> None:
    edit(dataset, version=2)
    with pytest.raises(DatasetError, match="has format version 2, this worldmodel reads version 1: upgrade"):
        EpisodeDataset(dataset)


def test_other_format(dataset: Path) -> None:
    edit(dataset, format="minutes")
    with pytest.raises(DatasetError, match="does not describe a dataset of this project"):
        EpisodeDataset(dataset)


def test_truncated_manifest(dataset: Path) -> None:
    truncate(dataset / "dataset.json")
    with pytest.raises(DatasetError, match=r"dataset\.json is truncated or not JSON"):
        EpisodeDataset(dataset)


def test_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"is not a dataset: it has no dataset\.json"):
        EpisodeDataset(tmp_path)


def test_unverified_opening_does_not_read_the_frames(dataset: Path) -> None:
    flip_a_bit(dataset / "shards" / "00001" / "frames.npy")
    assert EpisodeDataset(dataset, verify=False).episodes == 6


def test_files_are_plain_npy(dataset: Path) -> None:
    """Anyone can read them with NumPy alone."""
    shard = json.loads((dataset / "shards" / "00002" / "shard.json").read_text())
    frames = np.load(dataset / "shards" / "00002" / "frames.npy", allow_pickle=False)
    assert len(frames) == sum(shard["lengths"]) + 2
    np.testing.assert_array_equal(
        frames[: shard["lengths"][0] + 1], EpisodeDataset(dataset).episode(4).frames
    )


def edit(folder: Path, **change: object) -> None:
    manifest = folder / "dataset.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **change}))
