"""Episodes made by a program become a dataset, and a Minari dataset."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import psutil
import pytest

from worldmodel.data.saving import describe_episodes, save_episodes
from worldmodel.data.shards import write_shard
from worldmodel.episode import Episode
from worldmodel.errors import DatasetError
from worldmodel.real_env import EnvConfig

SPACE = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)


def dream(seed: int) -> Episode:
    rng, steps = np.random.default_rng(seed), 3 + seed
    frames = rng.integers(0, 256, (steps + 1, 8, 8, 3), np.uint8)
    ends = np.arange(steps) == steps - 1
    infos = {"uncertainty": rng.random(steps + 1, np.float32)}
    actions = rng.uniform(-1, 1, (steps, 2)).astype(np.float32)
    return Episode(
        frames, actions, rng.normal(size=steps).astype(np.float32), ~ends & ends, ends, infos, seed
    )


def test_dreams_are_saved_and_exported(tmp_path: Path) -> None:
    dreams = [dream(seed) for seed in range(5)]
    about = describe_episodes(
        dreams,
        EnvConfig("worldmodel/Push-v0", 8),
        SPACE,
        10.0,
        {"imagined_by": "runs/train"},
        episodes_per_shard=2,
    )
    dataset = save_episodes(tmp_path / "dreams", dreams, about)
    assert dataset.episodes == 5 and dataset.manifest.policy == {"imagined_by": "runs/train"}
    for number, episode in enumerate(dreams):
        for name in ("frames", "actions", "rewards", "terminated", "truncated"):
            np.testing.assert_array_equal(getattr(dataset.episode(number), name), getattr(episode, name))
        np.testing.assert_array_equal(
            dataset.episode(number).infos["uncertainty"], episode.infos["uncertainty"]
        )
    minari = pytest.importorskip("minari")
    from worldmodel.data.exchange.minari_export import export_minari

    exported = minari.MinariDataset(export_minari(dreams, about, "dreams/push-v0", tmp_path) / "data")
    np.testing.assert_array_equal(exported[3].observations, dreams[3].frames)
    np.testing.assert_array_equal(exported[3].infos["uncertainty"], dreams[3].infos["uncertainty"])


def test_episodes_that_do_not_belong_together(tmp_path: Path) -> None:
    env = EnvConfig("worldmodel/Push-v0", 8)
    wild = replace(dream(1), actions=np.full((4, 2), 3.0, np.float32))
    with pytest.raises(DatasetError, match=r"episode 1: The action holds 3\.0"):
        describe_episodes([dream(0), wild], env, SPACE, 10.0, {})
    with pytest.raises(DatasetError, match="episode 1: Its info 'uncertainty' is missing"):
        describe_episodes([dream(0), replace(dream(1), infos={})], env, SPACE, 10.0, {})
    with pytest.raises(DatasetError, match="no episode to save"):
        describe_episodes([], env, SPACE, 10.0, {})


def test_a_shard_that_fails_leaves_nothing_behind_and_no_file_open(tmp_path: Path) -> None:
    def episodes() -> Iterator[Episode]:
        yield dream(0)
        raise ValueError("the second one fails")

    with pytest.raises(ValueError, match="second") as failure:
        write_shard(tmp_path / "00000", 0, episodes())
    assert failure.traceback  # keeps alive what the writing held
    assert not [file.path for file in psutil.Process().open_files() if str(tmp_path) in file.path]
    assert not list(tmp_path.iterdir())
