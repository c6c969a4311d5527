"""Datasets in pieces: read as one, episode for episode, and only where they are of one environment."""

from pathlib import Path

import numpy as np
import pytest
from counting_data import HELD, counting

from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.pieces import PIECES_NAME, write_pieces
from worldmodel.data.windows import ClipSampler
from worldmodel.errors import DatasetError

RANDOM = {"_target_": "worldmodel.agents.exploration.RandomActions"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """5 episodes of one policy in shards of 2, 3 of another in shards of 16."""
    collect(counting(), HELD, tmp_path / "000", 5, workers=0, episodes_per_shard=2)
    collect(counting(), RANDOM, tmp_path / "001", 3, seed=9, workers=0)
    write_pieces(tmp_path, ["000", "001"])
    return tmp_path


def test_pieces_are_read_as_one(folder: Path) -> None:
    whole = EpisodeDataset(folder)
    parts = [EpisodeDataset(folder / name) for name in ("000", "001")]
    assert whole.episodes == 8 and whole.transitions == sum(part.transitions for part in parts)
    for number in range(8):
        part, place = (parts[0], number) if number < 5 else (parts[1], number - 5)
        mine, theirs = whole.episode(number), part.episode(place)
        for name in ("frames", "actions", "rewards", "terminated", "truncated"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
        assert mine.seed == theirs.seed and mine.infos.keys() == theirs.infos.keys()
    batch = ClipSampler(whole, np.arange(8), 2, 64, seed=0).batch(0)
    assert batch.frames.shape[:2] == (64, 3)


def test_an_episode_stays_on_its_side_when_a_piece_is_added(folder: Path) -> None:
    alone, whole = EpisodeDataset(folder / "000"), EpisodeDataset(folder)
    fixed = set(alone.split("heldout")) - {int(alone.split("heldout")[0])}
    assert fixed <= set(whole.split("heldout"))


def test_the_manifest_says_who_collected_what(folder: Path) -> None:
    manifest = EpisodeDataset(folder).manifest
    assert manifest.episodes == 8
    assert manifest.policy["pieces"]["001"]["policy"] == RANDOM
    assert manifest.policy["pieces"]["000"]["episodes"] == 5


def test_pieces_of_another_environment_are_refused(folder: Path) -> None:
    collect(counting(discrete=True), HELD, folder / "002", 2, workers=0)
    write_pieces(folder, ["000", "002"])
    with pytest.raises(DatasetError, match=r"The env of .*002 is .*only datasets of one environment"):
        EpisodeDataset(folder)


def test_a_missing_or_damaged_list_is_named(folder: Path) -> None:
    write_pieces(folder, ["000", "nowhere"])
    with pytest.raises(DatasetError, match="nowhere is not a dataset"):
        EpisodeDataset(folder)
    (folder / PIECES_NAME).write_text('{"pieces": [')
    with pytest.raises(DatasetError, match=r"pieces\.json is truncated"):
        EpisodeDataset(folder)


def test_nothing_is_collected_over_pieces(folder: Path) -> None:
    with pytest.raises(DatasetError, match="is not a dataset: give another out"):
        collect(counting(), HELD, folder, 2, workers=0)
