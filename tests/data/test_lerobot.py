"""LeRobot v3 folders, read without LeRobot: the right frames, beside the right numbers."""

import json
from pathlib import Path

import pytest
from counting_env import read
from lerobot_folder import CAMERA, action_of, length_of, write_lerobot

from worldmodel.data.exchange.importing import import_data
from worldmodel.errors import DatasetError

pytest.importorskip("pyarrow", reason="the extra [lerobot] is not installed")


@pytest.mark.parametrize("images", [False, True], ids=["videos", "images"])
def test_counted_episodes(tmp_path: Path, images: bool) -> None:
    """Eight episodes in three files: L frames and L actions become L - 1 steps."""
    write_lerobot(tmp_path / "robot", 8, images)
    dataset = import_data(str(tmp_path / "robot"), tmp_path / "data", workers=0, episodes_per_shard=3)
    assert dataset.episodes == 8
    for number in range(8):
        episode, length = dataset.episode(number), length_of(number)
        seeds, steps = read(episode.frames)
        assert (seeds == number + 1).all() and steps.tolist() == list(range(length))
        assert episode.actions.tolist() == [action_of(number, frame) for frame in range(length - 1)]
        assert episode.rewards.tolist() == [10.0 * number + frame for frame in range(length - 1)]
        assert episode.terminated.tolist() == [False] * (length - 2) + [number == 2]
        assert episode.truncated.tolist() == [False] * (length - 2) + [number != 2]
        expected = [[number, frame, number * frame] for frame in range(length)]
        assert episode.infos["observation.state"].tolist() == expected
        assert episode.infos["observation.temperature"].tolist() == [
            number + frame / 2 for frame in range(length)
        ]
    assert dataset.fps == 10.0
    low, high = dataset.action_space.low, dataset.action_space.high  # type: ignore[attr-defined]
    assert low.tolist() == [0.0, -5 / 8] and high.tolist() == [7 + 4 / 16, 0.0]
    assert len(set(dataset.seeds)) == 8
    assert dataset.manifest.policy["camera"] == CAMERA


def test_single_whole_numbers_are_discrete(tmp_path: Path) -> None:
    from pyarrow import parquet

    write_lerobot(tmp_path / "robot", 2)
    path = tmp_path / "robot/data/chunk-000/file-000.parquet"
    table = parquet.read_table(path)
    column = [[3 + number % 4] for number in range(table.num_rows)]
    parquet.write_table(table.set_column(table.column_names.index("action"), "action", [column]), path)
    change_info(tmp_path / "robot", "features", {"action": {"dtype": "int64", "shape": [1]}})
    dataset = import_data(str(tmp_path / "robot"), tmp_path / "data", workers=0)
    assert str(dataset.action_space) == "Discrete(4, start=3)"
    assert dataset.actions.tolist() == [3, 4, 5, 3, 4, 5, 6]


def test_a_camera_must_be_chosen_where_there_are_several(tmp_path: Path) -> None:
    write_lerobot(tmp_path / "robot", 2)
    change_info(
        tmp_path / "robot", "features", {"observation.images.wrist": {"dtype": "video", "shape": [8, 8, 3]}}
    )
    with pytest.raises(DatasetError, match=f"camera=; there are {CAMERA}, observation.images.wrist"):
        import_data(str(tmp_path / "robot"), tmp_path / "data")
    assert import_data(str(tmp_path / "robot"), tmp_path / "data", camera=CAMERA, workers=0).episodes == 2


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    write_lerobot(tmp_path / "old", 1, codebase_version="v2.1")
    with pytest.raises(DatasetError, match=r"version v2\.1.*convert it"):
        import_data(str(tmp_path / "old"), tmp_path / "data")
    write_lerobot(tmp_path / "lance", 1, storage_format="lance")
    with pytest.raises(DatasetError, match="lance"):
        import_data(str(tmp_path / "lance"), tmp_path / "data")
    write_lerobot(tmp_path / "robot", 2)
    (video,) = (tmp_path / "robot").rglob("*.mp4")
    content = video.read_bytes()
    video.unlink()
    with pytest.raises(DatasetError, match=rf"episode 0: .*{video.name} is missing"):
        import_data(str(tmp_path / "robot"), tmp_path / "data")
    video.write_bytes(content)
    (tmp_path / "robot/data/chunk-000/file-000.parquet").write_bytes(b"PAR1 no table PAR1")
    with pytest.raises(DatasetError, match=r"file-000\.parquet cannot be read"):
        import_data(str(tmp_path / "robot"), tmp_path / "data")
    assert not (tmp_path / "data").exists()


def change_info(folder: Path, key: str, change: dict) -> None:
    path = folder / "meta/info.json"
    info = json.loads(path.read_text())
    info[key] |= change
    path.write_text(json.dumps(info))
