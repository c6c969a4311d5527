"""One's own recordings: what is in the files is what is in the dataset, and what does not fit is named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counting_data import content_hash
from counting_env import SHORTEST, draw, read, reward_of
from video_files import write_lossless

from worldmodel.data.exchange.importing import import_data
from worldmodel.data.exchange.template import write_template
from worldmodel.data.exchange.video import read_video
from worldmodel.errors import DatasetError, WorldModelError

SETTINGS = "action_space: {type: Box, shape: [3], low: -2, high: 4}\nfps: 12\n"


def arrays(seed: int, actions_too_many: int = 0) -> dict[str, np.ndarray]:
    """An episode of the counting environment as someone would have recorded it."""
    steps = SHORTEST + seed % 9
    rng = np.random.default_rng(seed)
    actions = rng.uniform(-2, 4, (steps + actions_too_many, 3)).astype(np.float32)
    rewards = np.array([reward_of(action) for action in actions], np.float32)
    return {
        "frames": np.stack([draw(seed, step) for step in range(steps + 1)]),
        "actions": actions,
        "rewards": rewards,
        "info.step": np.arange(steps + 1),
    }


def record(folder: Path, number: int, video: bool = False, name: str = "", **changes: Any) -> None:
    """Write that episode; changes replace its arrays, None leaves one out."""
    content = {**arrays(number), "seed": np.array(number), **changes}
    if video:
        write_lossless(folder / f"{name or number}.mp4", content.pop("frames"))
    kept = {key: value for key, value in content.items() if value is not None}
    np.savez_compressed(folder / f"{name or number}.npz", **kept)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tape").mkdir()
    (tmp_path / "tape" / "recordings.yaml").write_text(SETTINGS)
    return tmp_path / "tape"


@pytest.mark.parametrize("workers", [0, 2])
def test_counted_recordings_in_files_and_videos(folder: Path, tmp_path: Path, workers: int) -> None:
    for seed in range(10, 20):
        record(folder, seed, video=seed % 2 == 0)
    dataset = import_data(str(folder), tmp_path / "data", workers=workers, episodes_per_shard=4)
    assert dataset.seeds.tolist() == list(range(10, 20))
    for number, seed in enumerate(range(10, 20)):
        episode, recorded = dataset.episode(number), arrays(seed)
        seeds, steps = read(episode.frames)
        assert (seeds == seed).all() and steps.tolist() == list(range(len(episode) + 1))
        assert episode.rewards.tolist() == [reward_of(action) for action in episode.actions]
        np.testing.assert_array_equal(episode.actions, recorded["actions"])
        np.testing.assert_array_equal(episode.infos["step"], recorded["info.step"])
        assert not episode.terminated.any()
        assert episode.truncated.tolist() == [False] * (len(episode) - 1) + [True]
    assert (dataset.fps, dataset.env.id) == (12.0, "recorded/tape")
    assert dataset.manifest.policy["imported"] == "recordings"


@pytest.mark.parametrize(("drop", "kept"), [("last", slice(None, -1)), ("first", slice(1, None))])
def test_as_many_actions_as_frames(folder: Path, tmp_path: Path, drop: str, kept: slice) -> None:
    content = arrays(5, actions_too_many=1)
    record(folder, 5, **content)
    with pytest.raises(DatasetError, match=r"write `drop_action: last` into recordings\.yaml"):
        import_data(str(folder), tmp_path / "data")
    (folder / "recordings.yaml").write_text(f"{SETTINGS}drop_action: {drop}\n")
    episode = import_data(str(folder), tmp_path / "data", workers=0).episode(0)
    np.testing.assert_array_equal(episode.actions, content["actions"][kept])
    np.testing.assert_array_equal(episode.rewards, content["rewards"][kept])
    assert episode.truncated.tolist() == [False] * (len(episode) - 1) + [True]


def test_what_was_not_recorded(folder: Path, tmp_path: Path) -> None:
    """Without rewards they are 0, and dataset.json says so; without a seed, the name decides the split."""
    (folder / "deep").mkdir()
    for name in ("a", "b", "deep/a"):
        record(folder, 7, name=name, rewards=None, **{"seed": None, "info.step": None})
    dataset = import_data(str(folder), tmp_path / "data", workers=0)
    assert not dataset.rewards.any()
    assert dataset.manifest.policy["rewards"] == "none were recorded: all are 0"
    assert len(set(dataset.seeds)) == 3
    (folder / "a.npz").unlink()
    fewer = import_data(str(folder), tmp_path / "fewer", workers=0)
    assert fewer.seeds.tolist() == dataset.seeds.tolist()[1:]


def test_an_end_of_the_task(folder: Path, tmp_path: Path) -> None:
    ends = np.arange(SHORTEST + 3) == SHORTEST + 2
    record(folder, 3, terminated=ends)
    episode = import_data(str(folder), tmp_path / "data", workers=0).episode(0)
    assert episode.terminated.tolist() == ends.tolist()
    assert not episode.truncated.any()


def test_discrete_actions(folder: Path, tmp_path: Path) -> None:
    actions = np.arange(SHORTEST + 4, dtype=np.uint8) % 3
    record(folder, 4, actions=actions)
    (folder / "recordings.yaml").write_text("fps: 5\n")
    with pytest.raises(DatasetError, match=r"would fit `action_space: \{type: Discrete, n: 3\}`"):
        import_data(str(folder), tmp_path / "data")
    (folder / "recordings.yaml").write_text("fps: 5\naction_space: {type: Discrete, n: 3}\n")
    episode = import_data(str(folder), tmp_path / "data", workers=0).episode(0)
    assert episode.actions.dtype == np.int64 and episode.actions.tolist() == actions.tolist()


MISTAKES = {
    "no recording": ({}, "", "holds no .npz file"),
    "two sizes": (
        {"b": {"frames": np.zeros((SHORTEST + 2, 8, 8, 3), np.uint8)}},
        "",
        r"b\.npz: Its frames.*give size",
    ),
    "outside of the space": (
        {"b": {"actions": np.full((SHORTEST + 1, 3), 5.0)}},
        "",
        r"b\.npz: .*holds 5\.0",
    ),
    "wrong shape": (
        {"b": {"actions": np.zeros((SHORTEST + 1, 2))}},
        "",
        r"b\.npz: .*expected float32 \(5, 3\)",
    ),
    "wrong length": (
        {"b": {"rewards": np.zeros(3)}},
        "",
        r"b\.npz: rewards has shape \(3,\), expected \(5,\)",
    ),
    "nan": ({"b": {"rewards": np.full(SHORTEST + 1, np.nan)}}, "", r"b\.npz: .*not a finite number"),
    "info gone": ({"a": {}, "b": {"info.step": None}}, "", r"b\.npz: Its info 'step' is missing"),
    "no frames": ({"b": {"frames": None}}, "", r"b\.npz: It has neither frames nor a video"),
    "no actions": ({"b": {"actions": None}}, "", r"b\.npz holds no actions"),
    "misspelt": ({"b": {"reward": np.zeros(5)}}, "", r"b\.npz holds 'reward' \(did you mean 'rewards'\?\)"),
    "no fps": (
        {"b": {}},
        "action_space: {type: Discrete, n: 3}\n",
        "Its actions are float32, expected int64",
    ),
    "unknown setting": ({"b": {}}, f"{SETTINGS}frames_per_second: 3\n", "holds 'frames_per_second'"),
    "bad space": (
        {"b": {}},
        "action_space: {type: Box}\nfps: 1\n",
        "has an action_space that cannot be read",
    ),
    "bad yaml": ({"b": {}}, "fps: [1\n", r"recordings\.yaml cannot be read"),
    "bad drop": (
        {"b": {}},
        f"{SETTINGS}drop_action: both\n",
        "drop_action is 'both', expected first or last",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_one_sentence(folder: Path, tmp_path: Path, mistake: str) -> None:
    recordings, settings, message = MISTAKES[mistake]
    (folder / "recordings.yaml").write_text(settings or SETTINGS)
    if recordings:
        record(folder, 1, name="a")
    for name, changes in recordings.items():
        record(folder, 1, name=name, **changes)
    with pytest.raises(WorldModelError, match=message) as caught:
        import_data(str(folder), tmp_path / "data", workers=0)
    assert "\n" not in str(caught.value)


def test_damaged_files_are_named(folder: Path, tmp_path: Path) -> None:
    record(folder, 1, name="a", video=True)
    whole = (folder / "a.npz").read_bytes()
    (folder / "a.npz").write_bytes(whole[:-30])
    with pytest.raises(DatasetError, match=r"a\.npz cannot be read"):
        import_data(str(folder), tmp_path / "data")
    (folder / "a.npz").write_bytes(whole)
    (folder / "a.mp4").write_bytes(b"no video")
    with pytest.raises(DatasetError, match=r"a\.mp4 cannot be decoded as video") as caught:
        import_data(str(folder), tmp_path / "data")
    assert "\n" not in str(caught.value)


def test_import_goes_on_where_it_was_stopped(folder: Path, tmp_path: Path) -> None:
    for seed in range(6):
        record(folder, seed)
    options: dict[str, Any] = {"source": str(folder), "workers": 0, "episodes_per_shard": 2}
    import_data(**options, out=tmp_path / "whole")
    record(folder, 5, name="4", actions=np.zeros((2, 2)))  # stands for being stopped there
    with pytest.raises(DatasetError):
        import_data(**options, out=tmp_path / "data")
    first = tmp_path / "data/shards/00000/frames.npy"
    before = first.stat().st_mtime_ns
    record(folder, 4)
    import_data(**options, out=tmp_path / "data")
    assert first.stat().st_mtime_ns == before
    assert content_hash(tmp_path / "data") == content_hash(tmp_path / "whole")
    record(folder, 6)
    with pytest.raises(DatasetError, match="fit = crop, not stretch"):
        import_data(**options, out=tmp_path / "data", fit="stretch")


def test_the_template_imports_as_it_is(tmp_path: Path) -> None:
    write_template(tmp_path / "mine")
    dataset = import_data(str(tmp_path / "mine"), tmp_path / "data", size=32, workers=0)
    assert (dataset.episodes, dataset.frame_shape, dataset.transitions) == (2, (32, 32, 3), 48)
    filmed, stored = (dataset.episode(number).frames.astype(int) for number in range(2))
    assert abs(filmed[0] - stored[0]).mean() < 12  # the same first picture, but for the video's loss
    with pytest.raises(DatasetError, match="exists already"):
        write_template(tmp_path / "mine")
    with pytest.raises(DatasetError, match="`worldmodel data template` shows"):
        import_data(str(tmp_path), tmp_path / "other")


def test_parts_of_a_video(tmp_path: Path) -> None:
    """Seeking finds exactly the frame asked for, also between those that can be decoded alone."""
    frames = np.stack([draw(1, step) for step in range(60)])
    write_lossless(tmp_path / "v.mp4", frames, fps=30, group=25)
    for first, count in [(0, 60), (1, 3), (24, 2), (31, 29), (59, 1)]:
        part = read_video(tmp_path / "v.mp4", max((first - 0.5) / 30, 0), count)
        np.testing.assert_array_equal(part, frames[first : first + count])
    with pytest.raises(DatasetError, match=r"v\.mp4 has 2 frames, expected 3"):
        read_video(tmp_path / "v.mp4", 57.5 / 30, 3)
