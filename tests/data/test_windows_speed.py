"""Sampling must never be what training waits for."""

import time
from pathlib import Path

import numpy as np
import pytest

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.manifest import Manifest, shard_folder
from worldmodel.data.shards import write_shard
from worldmodel.data.windows import ClipSampler
from worldmodel.episode import Episode


@pytest.mark.slow
def test_twenty_thousand_windows_a_second(tmp_path: Path) -> None:
    """16 frames of 64x64 from a warm cache, on one core."""
    sampler = ClipSampler(noise_dataset(tmp_path), np.arange(64), length=15, batch_size=64, seed=0)
    for step in range(50):
        sampler.batch(step)
    start = time.perf_counter()
    for step in range(400):
        sampler.batch(step)
    assert 400 * 64 / (time.perf_counter() - start) > 20_000


def noise_dataset(folder: Path) -> EpisodeDataset:
    """64 episodes of 100 steps, 64x64."""
    manifest = Manifest(
        env={"id": "Noise-v0", "size": 64},
        policy={},
        seed=0,
        episodes=64,
        episodes_per_shard=16,
        max_steps=100,
        ignore_info=[],
        action_space={"type": "Discrete", "n": 4, "start": 0},
        frame_shape=[64, 64, 3],
        fps=10.0,
        max_episode_steps=100,
        info_keys={},
        dropped_info_keys=[],
    )
    manifest.write(folder)
    rng = np.random.default_rng(0)
    for shard in range(manifest.num_shards):
        episodes = (noise_episode(rng, seed) for seed in manifest.shard_episodes(shard))
        write_shard(shard_folder(folder, shard), shard * 16, episodes)
    return EpisodeDataset(folder)


def noise_episode(rng: np.random.Generator, seed: int) -> Episode:
    frames = rng.integers(0, 256, (101, 64, 64, 3), np.uint8)
    ends = np.zeros(100, bool)
    return Episode(frames, rng.integers(0, 4, 100), np.zeros(100, np.float32), ends, ends, {}, seed)
