"""Through Minari and back: nothing is lost, and nothing that Minari does on the way is taken for granted."""

import json
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from counting_data import HELD, content_hash, counting
from gymnasium import spaces
from tiny_world import tiny_world_model

from worldmodel.data.collect import collect
from worldmodel.data.exchange.importing import import_data
from worldmodel.data.exchange.minari_export import export_data, export_minari
from worldmodel.data.manifest import Manifest
from worldmodel.episode import Episode
from worldmodel.errors import DatasetError
from worldmodel.model.checkpoint import save_world_model
from worldmodel.spaces import ActionCodec, space_to_json

minari = pytest.importorskip("minari", reason="the extra [minari] is not installed")


@pytest.mark.parametrize("discrete", [False, True], ids=["box", "discrete"])
def test_counted_episodes_come_back_as_the_same_files(tmp_path: Path, discrete: bool) -> None:
    """Frames, actions, rewards, ends, infos (one has a slash in its name), seeds and dataset.json: byte for byte."""
    collect(counting(discrete=discrete), HELD, tmp_path / "data", 20, seed=3, workers=0, episodes_per_shard=8)
    folder = export_data(str(tmp_path / "data"), "test/counting-v0", str(tmp_path / "minari"))
    import_data(str(folder), tmp_path / "back", workers=0)
    assert content_hash(tmp_path / "back") == content_hash(tmp_path / "data")


def test_a_dream_is_collected_and_exported_like_any_environment(tmp_path: Path) -> None:
    world = tiny_world_model(max_episode_steps=5)
    (tmp_path / "world").mkdir()
    save_world_model(world, tmp_path / "world")
    dream = {"id": "worldmodel/Dream-v0", "size": 8, "kwargs": {"checkpoint": str(tmp_path / "world")}}
    data = collect(dream, HELD, tmp_path / "dreams", 3, workers=0)
    assert data.lengths.tolist() == [5, 5, 5]
    starts = world.contexts.frames[:, -1].numpy()
    for index in range(3):
        assert any(np.array_equal(data.episode(index).frames[0], start) for start in starts)
    folder = export_data(str(tmp_path / "dreams"), "test/dreams-v0", str(tmp_path / "minari"))
    import_data(str(folder), tmp_path / "back", workers=0)
    assert content_hash(tmp_path / "back") == content_hash(tmp_path / "dreams")


def test_what_minari_itself_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = collect(counting(), HELD, tmp_path / "data", 20, workers=0)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    export_data(str(tmp_path / "data"), "test/counting-v0")
    dataset = minari.load_dataset("test/counting-v0")
    assert list(minari.list_local_datasets()) == ["test/counting-v0"]
    assert (dataset.total_episodes, dataset.total_steps) == (20, data.transitions)
    assert dataset.action_space == data.action_space
    assert dataset.storage.jpeg_encoding is False
    for number, stored in enumerate(dataset.iterate_episodes()):
        episode = data.episode(number)
        assert stored.observations.dtype == np.uint8
        np.testing.assert_array_equal(stored.observations, episode.frames)
        np.testing.assert_array_equal(stored.actions, episode.actions)
        np.testing.assert_array_equal(stored.rewards, episode.rewards)
        np.testing.assert_array_equal(stored.terminations, episode.terminated)
        np.testing.assert_array_equal(stored.truncations, episode.truncated)
        np.testing.assert_array_equal(stored.infos["step"], np.arange(len(episode) + 1))
        np.testing.assert_array_equal(stored.infos["where"]["now"], episode.infos["where/now"])
    env = dataset.recover_environment()
    frame, _ = env.reset(seed=int(data.seeds[0]))
    np.testing.assert_array_equal(frame, data.episode(0).frames[0])


def test_pictures_large_enough_for_jpeg_stay_exact(tmp_path: Path) -> None:
    """Minari takes uint8 pictures of 32 pixels and more for photographs, and stores those lossily by default."""
    episode = noise_episode(np.random.default_rng(0).integers(0, 4, 5), (48, 40, 3))
    manifest = manifest_of(spaces.Discrete(4), episode)
    folder = export_minari([episode], manifest, "noise-v0", tmp_path)
    back = import_data(str(folder), tmp_path / "back", workers=0)
    np.testing.assert_array_equal(back.episode(0).frames, episode.frames)
    assert "env_spec" not in json.loads((folder / "data/metadata.json").read_text())  # nothing to recover


NESTED = spaces.Dict(
    OrderedDict(
        zeta=spaces.Box(-3.0, 1.0, (2, 2), np.float32),
        alpha=spaces.Tuple([spaces.Discrete(3, start=-1), spaces.MultiBinary(2)]),
        many=spaces.MultiDiscrete([2, 4]),
    )
)


@pytest.mark.parametrize(
    "space",
    [
        NESTED,
        spaces.MultiDiscrete([3, 4], start=[-1, 2]),
        spaces.MultiBinary(3),
        spaces.Box(-np.inf, np.inf, ()),
    ],
    ids=["nested", "multi-discrete", "multi-binary", "scalar box"],
)
def test_every_action_space(tmp_path: Path, space: spaces.Space) -> None:
    """Minari sorts the keys of a Dict, whose order decides how we store it."""
    codec = ActionCodec(space)
    space.seed(0)
    actions = np.stack([codec.store(space.sample()) for _ in range(9)])
    episode = noise_episode(actions, (8, 8, 3), infos={"none": np.zeros((10, 0)), "flag": np.arange(10) > 3})
    folder = export_minari([episode] * 40, manifest_of(space, episode, episodes=40), "space-v0", tmp_path)
    back = import_data(str(folder), tmp_path / "back", workers=0)
    for number in (0, 39):
        assert_same(back.episode(number), episode)
    assert back.action_space == space


def test_other_peoples_datasets(tmp_path: Path) -> None:
    """Pictures are found in the observation; what else was observed, and numeric infos, are kept."""
    rng = np.random.default_rng(0)
    observations = {
        "camera": rng.integers(0, 256, (7, 16, 20), np.uint8),
        "body": {"speed": rng.normal(size=(7, 2))},
    }
    buffer = minari.data_collector.EpisodeBuffer(
        observations=observations,
        actions=rng.integers(0, 3, 6),
        rewards=list(range(6)),
        terminations=[False] * 5 + [True],
        truncations=[False] * 6,
        infos={"deep": {"x": np.arange(7)}, "per_step": np.arange(6), "text": ["a"] * 7},
    )
    folder = foreign(tmp_path, [buffer, buffer])
    back = import_data(str(folder), tmp_path / "back", size=8, fit="stretch", fps=5, workers=0)
    first, second = back.episode(0), back.episode(1)
    assert first.frames.shape == (7, 8, 8, 3)
    np.testing.assert_array_equal(first.frames[..., 0], first.frames[..., 2])
    np.testing.assert_array_equal(first.infos["observation/body/speed"], observations["body"]["speed"])
    np.testing.assert_array_equal(first.infos["deep/x"], np.arange(7))
    assert set(first.infos) == {"observation/body/speed", "deep/x"}
    assert back.manifest.dropped_info_keys == ["per_step", "text"]
    assert first.rewards.tolist() == list(range(6)) and first.terminated[-1]
    assert (back.fps, back.env.id) == (5.0, "recorded/foreign")
    assert first.seed != second.seed
    assert import_data(str(folder), tmp_path / "again", size=8, fit="stretch", workers=0).seeds.tolist() == [
        first.seed,
        second.seed,
    ]


def test_mistakes(tmp_path: Path) -> None:
    collect(counting(), HELD, tmp_path / "data", 3, workers=0)
    export_data(str(tmp_path / "data"), "twice-v0", str(tmp_path))
    for id, message in [
        ("twice-v0", "exists already"),
        ("twice", "is not a Minari id"),
        ("../x-v0", "is not a Minari"),
    ]:
        with pytest.raises(DatasetError, match=message):
            export_data(str(tmp_path / "data"), id, str(tmp_path))
    with pytest.raises(DatasetError, match="There is no Minari dataset nobody/has-v3"):
        import_data("nobody/has-v3", tmp_path / "back")
    buffer = minari.data_collector.EpisodeBuffer(
        observations=np.zeros((3, 4)),
        actions=np.zeros(2, int),
        rewards=[0, 0],
        terminations=[0, 0],
        truncations=[0, 0],
    )
    folder = foreign(tmp_path, [buffer], spaces.Box(-1, 1, (4,)))
    with pytest.raises(DatasetError, match="none: it has no uint8 pictures"):
        import_data(str(folder), tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_without_the_extras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collect(counting(), HELD, tmp_path / "data", 1, workers=0)
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(DatasetError, match=r"pip install 'worldmodel\[minari\]'"):
        export_data(str(tmp_path / "data"), "x-v0", str(tmp_path))
    with pytest.raises(DatasetError, match=r"pip install 'worldmodel\[minari\]'"):
        import_data("x-v0", tmp_path / "back")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "robot/meta").mkdir(parents=True)
    features = {
        "action": {"dtype": "float32", "shape": [1]},
        "camera": {"dtype": "video", "shape": [8, 8, 3]},
    }
    (tmp_path / "robot/meta/info.json").write_text(
        json.dumps({"codebase_version": "v3.0", "features": features})
    )
    (tmp_path / "robot/meta/episodes").mkdir()
    (tmp_path / "robot/meta/episodes/0.parquet").touch()
    with pytest.raises(DatasetError, match=r"pip install 'worldmodel\[lerobot\]'"):
        import_data(str(tmp_path / "robot"), tmp_path / "back")


def test_a_failed_export_leaves_nothing(tmp_path: Path) -> None:
    episode = noise_episode(np.zeros(3, int), (8, 8, 3), infos={"a": np.zeros(4), "a/b": np.zeros(4)})
    with pytest.raises(DatasetError, match="Minari cannot store this dataset"):
        export_minari([episode], manifest_of(spaces.Discrete(2), episode), "group/bad-v0", tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def foreign(tmp_path: Path, buffers: list[Any], observed: spaces.Space | None = None) -> Path:
    """A dataset as someone else would write it."""
    observed = observed or spaces.Dict(
        camera=spaces.Box(0, 255, (16, 20), np.uint8),
        body=spaces.Dict(speed=spaces.Box(-9, 9, (2,), np.float64)),
    )
    with pytest.MonkeyPatch.context() as patch, pytest.warns(UserWarning):
        patch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "others"))
        minari.create_dataset_from_buffers(
            "their/foreign-v0", buffers, observation_space=observed, action_space=spaces.Discrete(3)
        )
    return tmp_path / "others" / "their" / "foreign-v0"


def noise_episode(
    actions: np.ndarray, frame_shape: tuple[int, ...], infos: dict[str, np.ndarray] | None = None
) -> Episode:
    steps, rng = len(actions), np.random.default_rng(1)
    ends = np.arange(steps) == steps - 1
    frames = rng.integers(0, 256, (steps + 1, *frame_shape), np.uint8)
    return Episode(
        frames, actions, rng.normal(size=steps).astype(np.float32), ends, ~ends, infos or {}, seed=2**60 + 1
    )


def manifest_of(space: gym.Space, episode: Episode, episodes: int = 1) -> Manifest:
    return Manifest(
        env={"id": "recorded/noise", "size": episode.frames.shape[1]},
        policy={},
        seed=0,
        episodes=episodes,
        episodes_per_shard=16,
        max_steps=1000,
        ignore_info=[],
        action_space=space_to_json(space),
        frame_shape=list(episode.frames.shape[1:]),
        fps=10.0,
        max_episode_steps=None,
        info_keys={
            key: {"shape": list(value.shape[1:]), "dtype": str(value.dtype)}
            for key, value in episode.infos.items()
        },
        dropped_info_keys=[],
    )


def assert_same(one: Episode, other: Episode) -> None:
    for name in ("frames", "actions", "rewards", "terminated", "truncated"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)
    assert set(one.infos) == set(other.infos)
    for key in one.infos:
        np.testing.assert_array_equal(one.infos[key], other.infos[key], strict=True)
    assert one.seed == other.seed
