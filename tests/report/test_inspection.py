"""`worldmodel data inspect`: the files it writes and the sentences it says."""

import json
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from counting_data import HELD, counting
from PIL import Image

from worldmodel.cli import main
from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.inspection import inspect
from worldmodel.errors import DatasetError, WorldModelError
from worldmodel.report.inspection import contact_sheet, inspect_dataset, notes, spread, video


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> EpisodeDataset:
    out = tmp_path_factory.mktemp("counted") / "data"
    return collect(counting(discrete=True), HELD, out, 12, workers=0, episodes_per_shard=5)


def test_from_the_command_line(
    dataset: EpisodeDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "inspect", str(dataset.path), f"out={tmp_path / 'seen'}"]) == 0
    text = capsys.readouterr().out
    assert "Counting-v0" in text and "Discrete(5, start=2)" in text and "12: " in text
    content = json.loads((tmp_path / "seen/inspection.json").read_text())
    assert content["transitions"] == dataset.transitions
    assert content["dataset"]["seed"] == 0
    for name in ("contact_sheet.png", "histograms.png"):
        with Image.open(tmp_path / "seen" / name) as picture:
            assert min(picture.size) > 100
    frames, _ = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "seen/video.mp4"))
    assert frames >= dataset.lengths.max() + 1


def test_the_sheet_shows_each_episode_from_its_first_frame_to_its_last(dataset: EpisodeDataset) -> None:
    sheet = contact_sheet(dataset)
    for index in (0, 11):
        episode = dataset.episode(index).frames
        for frame in (episode[0], episode[-1]):
            assert contains(sheet, np.kron(frame, np.ones((6, 6, 1), np.uint8)))


def test_the_video_shows_ended_episodes_darker(dataset: EpisodeDataset) -> None:
    film = video(dataset)
    shortest = int(dataset.lengths[spread(12, 9)].min())
    index = spread(12, 9)[int(dataset.lengths[spread(12, 9)].argmin())]
    last = np.kron(dataset.episode(index).frames[-1], np.ones((12, 12, 1), np.uint8))
    assert contains(film[shortest], last)
    assert contains(film[shortest + 1], last // 3)


def test_a_collection_that_has_not_ended(
    dataset: EpisodeDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    shutil.copytree(dataset.path, tmp_path / "part")
    shutil.rmtree(tmp_path / "part/shards/00001")
    inspect_dataset(str(tmp_path / "part"), str(tmp_path / "seen"))
    assert "5 of 12: " in capsys.readouterr().out


def test_notes_say_what_is_odd(dataset: EpisodeDataset, tmp_path: Path) -> None:
    assert notes(inspect(dataset)) == []
    collect(counting(fault="frozen"), HELD, tmp_path / "frozen", 2, workers=0, allow_blank_frames=True)
    said = " ".join(notes(inspect(EpisodeDataset(tmp_path / "frozen"))))
    assert "in 2 episodes nothing ever changes" in said and "more than half" in said


def test_mistakes(dataset: EpisodeDataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a dataset"):
        inspect_dataset(str(tmp_path), str(tmp_path / "seen"))
    with pytest.raises(WorldModelError, match="max_episodes is 0"):
        inspect_dataset(str(dataset.path), str(tmp_path / "seen"), max_episodes=0)


def test_spread() -> None:
    assert spread(100, 5) == [0, 25, 50, 74, 99]
    assert spread(3, 8) == [0, 1, 2]
    assert spread(1, 8) == [0]


def contains(picture: np.ndarray, part: np.ndarray) -> bool:
    """Whether `part` [h,w,3] is somewhere in `picture` [H,W,3]."""
    height, width, _ = part.shape
    windows = np.lib.stride_tricks.sliding_window_view(picture[..., 0], (height, width))
    corners = np.argwhere((windows[..., 0, 0] == part[0, 0, 0]) & (windows[..., -1, -1] == part[-1, -1, 0]))
    return any((picture[y : y + height, x : x + width] == part).all() for y, x in corners)
