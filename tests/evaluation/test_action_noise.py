"""The simulator under noisy actions, and the proof that it would have repeated everything without."""

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from counting_data import HELD

from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.evaluation.moments.action_noise import noisy_actions, play_with_noise
from worldmodel.evaluation.moments.futures import Futures, draw_futures
from worldmodel.spaces import ActionCodec


def played(folder: Path, env: dict, episodes: int = 4) -> tuple[EpisodeDataset, Futures]:
    collect(env, HELD, folder, episodes=episodes, seed=1, workers=0, max_steps=40)
    dataset = EpisodeDataset(folder)
    return dataset, draw_futures(dataset, np.arange(dataset.episodes), 3, 5, count=4, seed=2)


@pytest.mark.parametrize("state", [True, False])
def test_no_noise_repeats_and_noise_strays(tmp_path: Path, state: bool) -> None:
    env = {"id": "dot_env:Dot-v0", "size": 16, "kwargs": {"state": state}}
    dataset, futures = played(tmp_path / "data", env)
    still = play_with_noise(dataset, futures, 1e-9, seed=0)
    assert still.frames is not None and torch.equal(still.frames, futures.frames)
    assert still.restored_by == ("state" if state else "replay")
    noisy = play_with_noise(dataset, futures, 0.5, seed=0)
    assert noisy.frames is not None and not torch.equal(noisy.frames, futures.frames)


def test_without_a_way_back_there_is_a_reason_and_no_row(tmp_path: Path) -> None:
    env = {"id": "dot_env:Dot-v0", "size": 16, "kwargs": {"state": False, "replays": False}}
    found = play_with_noise(*played(tmp_path / "data", env), 0.1, seed=0)
    assert found.frames is None and "does not come back" in found.reason


def test_gymnasiums_own_environments_come_back(tmp_path: Path) -> None:
    dataset, futures = played(tmp_path / "data", {"id": "HalfCheetah-v5", "size": 8}, episodes=2)
    found = play_with_noise(dataset, futures, 0.1, seed=0)
    assert found.frames is not None and found.restored_by == "state"


def test_box_noise_is_a_tenth_of_half_the_range_and_stays_inside() -> None:
    codec = ActionCodec(gym.spaces.Box(-4.0, 0.0, (2,), np.float32))
    actions = torch.from_numpy(codec.encode(np.tile([[-2.0, 0.0]], (4000, 1))))
    noisy = codec.decode(noisy_actions(actions, codec, 0.1, seed=0).numpy())
    assert np.std(noisy[:, 0]) == pytest.approx(0.2, rel=0.05)
    assert noisy.max() <= 0.0 and np.mean(noisy[:, 1] == 0.0) == pytest.approx(0.5, abs=0.05)


def test_choices_are_another_one_with_that_probability() -> None:
    codec = ActionCodec(gym.spaces.Discrete(4))
    chosen = np.random.default_rng(0).integers(0, 4, 4000)
    noisy = codec.decode(noisy_actions(torch.from_numpy(codec.encode(chosen)), codec, 0.1, seed=0).numpy())
    assert np.mean(noisy != chosen) == pytest.approx(0.1, abs=0.015)
    assert set(noisy[(noisy != chosen) & (chosen == 0)]) == {1, 2, 3}


def test_bits_and_composites_have_noise_too() -> None:
    parts = {"move": gym.spaces.Box(-1, 1, (1,), np.float32), "keys": gym.spaces.MultiBinary(2)}
    codec = ActionCodec(gym.spaces.Dict(parts))
    actions = torch.zeros(4000, codec.size)
    noisy = noisy_actions(actions, codec, 0.1, seed=0)
    stored = codec.decode(noisy.numpy())
    for row in stored[:20]:
        codec.check(codec.restore(row))
    changed = (noisy != actions).float().mean(0)
    assert sorted(changed.tolist())[:2] == pytest.approx([0.1, 0.1], abs=0.02)
