"""What `worldmodel data inspect` counts is what is there."""

from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.inspection import Distribution, action_coverage, frame_faults, inspect
from worldmodel.data.saving import describe_episodes, save_episodes
from worldmodel.episode import Episode
from worldmodel.real_env import EnvConfig

BOX = gym.spaces.Box(np.float32([-2.0, 0.0]), np.float32([2.0, np.inf]))


def episode(seed: int, steps: int, space: gym.Space = BOX, reward: float = 1.0) -> Episode:
    rng = np.random.default_rng(seed)
    space.seed(seed)
    flat = [gym.spaces.flatten(space, space.sample()) for _ in range(steps)]
    actions = (
        np.stack(flat) if isinstance(space, gym.spaces.Tuple) else np.stack([space.sample() for _ in flat])
    )
    ends = np.arange(steps) == steps - 1
    frames = rng.integers(0, 256, (steps + 1, 8, 8, 3), np.uint8)
    terminated = ends & bool(seed % 2)
    return Episode(
        frames, actions, np.full(steps, reward, np.float32), terminated, ends & ~terminated, {}, seed
    )


def save(folder: Path, episodes: list[Episode], space: gym.Space = BOX) -> EpisodeDataset:
    about = describe_episodes(episodes, EnvConfig("recorded/noise", 8), space, 10.0, {"imported": "nothing"})
    return save_episodes(folder / "data", episodes, about)


def test_counts_and_distributions(tmp_path: Path) -> None:
    found = inspect(save(tmp_path, [episode(seed, 3 + seed, reward=float(seed)) for seed in range(4)]))
    assert (found.episodes, found.transitions, found.num_frames) == (4, 18, 22)
    assert found.train + found.heldout == 4 and found.heldout >= 1
    assert (found.terminated, found.truncated) == (2, 2)
    assert (found.lengths.low, found.lengths.mean, found.lengths.high) == (3.0, 4.5, 6.0)
    assert (found.returns.low, found.returns.high) == (0.0, 18.0)
    assert found.zero_rewards == 3 / 18
    assert sum(found.rewards.counts) == 18 and sum(found.lengths.counts) == 4


def test_a_distribution_of_one_value() -> None:
    only = Distribution.of(np.array([2.0]))
    assert (only.mean, only.std, sum(only.counts)) == (2.0, 0.0, 1)


def test_frame_faults(tmp_path: Path) -> None:
    clean = [episode(seed, 4) for seed in range(3)]
    black = clean[1].frames.copy()
    black[2] = 0
    still = np.repeat(clean[2].frames[:1], 5, axis=0)
    twin = replace(clean[0], seed=9)
    dataset = save(
        tmp_path, [clean[0], replace(clean[1], frames=black), replace(clean[2], frames=still), twin]
    )
    faults = frame_faults(dataset, range(4))
    assert faults.frames == 20
    assert faults.one_colour == 1
    assert faults.repeated == 4  # all of the still one
    assert faults.duplicates == 4 + 5  # the still one's, and all of the twin's
    assert faults.same_episodes == [(0, 3)]
    assert faults.unmoving == [2]
    assert frame_faults(dataset, [1]).duplicates == 0


def test_long_episodes_are_looked_at_in_parts(tmp_path: Path) -> None:
    whole = episode(0, 150)
    dataset = save(tmp_path, [whole])
    faults = frame_faults(dataset, [0])
    assert (faults.frames, faults.one_colour, faults.duplicates) == (151, 0, 0)
    assert faults.change == pytest.approx(np.abs(np.diff(whole.frames.astype(int), axis=0)).mean())


def test_change_is_the_mean_over_steps_and_pixels(tmp_path: Path) -> None:
    frames = np.zeros((3, 8, 8, 3), np.uint8)
    frames[1] = 10
    frames[2, :4] = 30
    dataset = save(tmp_path, [replace(episode(0, 2), frames=frames)])
    assert frame_faults(dataset, [0]).change == pytest.approx((10 + (20 + 10) / 2) / 2)


def test_continuous_actions(tmp_path: Path) -> None:
    actions = np.array([[-2.0, 0.0], [2.0, 1.0], [0.05, 3.0], [0.05, 3.0]], np.float32)
    bounded, unbounded = action_coverage(save(tmp_path, [replace(episode(0, 4), actions=actions)]))
    assert (bounded.kind, bounded.covered, bounded.at_bounds) == ("continuous", 3 / 20, 0.5)
    assert bounded.edges is not None and (bounded.edges[0], bounded.edges[-1]) == (-1.0, 1.0)
    assert unbounded.at_bounds is None
    assert unbounded.edges is not None and (unbounded.edges[0], unbounded.edges[-1]) == (0.0, 3.0)
    assert sum(bounded.counts) == sum(unbounded.counts) == 4


def test_choices_and_bits(tmp_path: Path) -> None:
    space = gym.spaces.Tuple(
        [gym.spaces.MultiDiscrete([3, 2]), gym.spaces.MultiBinary(1), gym.spaces.Discrete(2)]
    )
    chosen = [([0, 1], [1], 0), ([0, 1], [1], 1), ([2, 1], [1], 1)]
    flat = [gym.spaces.flatten(space, tuple(map(np.array, action))) for action in chosen]
    actions = np.stack(flat)
    found = action_coverage(save(tmp_path, [replace(episode(0, 3, space), actions=actions)], space))
    assert [(action.kind, action.counts) for action in found] == [
        ("choice", [2, 0, 1]),
        ("choice", [0, 3]),
        ("bit", [0, 3]),
        ("choice", [1, 2]),
    ]
    assert found[0].covered == 2 / 3
