"""The counting test: frames that say (episode, t) and rewards that say a_t, from collecting to windows, exactly."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from counting_data import HELD, counting
from counting_env import SHORTEST, CountingEnv, read, reward_of

from worldmodel.agents.exploration import RandomActions
from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.data.rollout import find_info_keys, record_episode
from worldmodel.data.windows import ClipSampler
from worldmodel.episode import Episode
from worldmodel.errors import DatasetError


@pytest.fixture(scope="module", params=[False, True], ids=["box", "discrete"])
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> EpisodeDataset:
    out = tmp_path_factory.mktemp("counted") / "data"
    env = counting(discrete=request.param)
    collect(env, HELD, out, episodes=50, seed=3, workers=0, episodes_per_shard=8)
    return EpisodeDataset(out)


def assert_counts(episode: Episode) -> None:
    """Every frame, reward and end of an episode lies where the time table says."""
    seeds, steps = read(episode.frames)
    assert (seeds == episode.seed % 2**24).all()
    assert steps.tolist() == list(range(len(episode) + 1))
    assert len(episode) == SHORTEST + episode.seed % 9
    assert episode.rewards.tolist() == [reward_of(action) for action in episode.actions]
    assert episode.terminated.tolist() == [False] * (len(episode) - 1) + [episode.seed % 2 == 1]
    assert episode.truncated.tolist() == [False] * (len(episode) - 1) + [episode.seed % 2 == 0]


def test_episodes_on_disk(dataset: EpisodeDataset) -> None:
    episodes = [dataset.episode(i) for i in range(dataset.episodes)]
    for episode in episodes:
        assert_counts(episode)
    assert len({episode.seed for episode in episodes}) == dataset.episodes == 50
    assert dataset.transitions == sum(len(episode) for episode in episodes)
    assert dataset.num_frames == dataset.transitions + 50


def test_windows(dataset: EpisodeDataset) -> None:
    """Every frame of every window is the next of one episode, and every reward is its own action's."""
    length = 6
    sampler = ClipSampler(dataset, np.arange(50), length, batch_size=32, seed=1)
    shown = {seed % 2**24: seed for seed in dataset.seeds.tolist()}  # the picture has room for 24 bits
    seen: set[int] = set()
    for step in range(20):
        batch = sampler.batch(step)
        seeds, steps = read(batch.frames.numpy())
        assert (seeds == seeds[:, :1]).all()
        assert (steps == steps[:, :1] + np.arange(length + 1)).all()
        assert (batch.at_start.numpy() == (steps[:, 0] == 0)).all()
        actions = dataset.codec.decode(batch.actions.numpy())
        rewards = [[reward_of(action) for action in clip] for clip in actions]
        # Discrete actions come back exactly; Box ones after scaling to [-1, 1] and back.
        np.testing.assert_allclose(batch.rewards, rewards, atol=0.01 if actions.ndim > 2 else 0.0)
        full_seeds = np.array([shown[seed] for seed in seeds[:, 0].tolist()])
        ends = (steps[:, -1] == SHORTEST + full_seeds % 9) & (full_seeds % 2 == 1)
        assert not batch.terminated[:, :-1].any()
        assert (batch.terminated[:, -1].numpy() == ends).all()
        seen |= set(full_seeds.tolist())
    assert seen == set(dataset.seeds[dataset.lengths >= length].tolist())


def test_clip_equals_the_window_of_its_episode(dataset: EpisodeDataset) -> None:
    whole, clip = dataset.episode(9).clip(1, 3), dataset.clip(9, 1, 3)
    for name in ("frames", "actions", "rewards", "terminated"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(clip, name))
    assert whole.start == clip.start == 1
    with pytest.raises(DatasetError, match="No 99-step clip starts at step 0"):
        dataset.clip(9, 0, 99)


def test_sampler_restarts_anywhere(dataset: EpisodeDataset) -> None:
    first, again = (ClipSampler(dataset, np.arange(50), 4, 8, seed=5) for _ in range(2))
    later = [first.batch(step) for step in range(4)][3]
    assert torch.equal(later.frames, again.batch(3).frames)
    assert not torch.equal(later.frames, again.batch(2).frames)
    assert not torch.equal(later.frames, ClipSampler(dataset, np.arange(50), 4, 8, seed=6).batch(3).frames)


def test_sampler_is_uniform_over_windows(dataset: EpisodeDataset) -> None:
    """A long episode is drawn as often as it has windows."""
    length = 4
    sampler = ClipSampler(dataset, np.arange(50), length, batch_size=20_000, seed=0)
    seeds, steps = read(sampler.batch(0).frames[:, 0].numpy())
    _, counts = np.unique(seeds * 100 + steps, return_counts=True)
    windows = int((dataset.lengths - length + 1).sum())
    assert sampler.windows == windows == len(counts)
    assert abs(counts - 20_000 / windows).max() < 6 * np.sqrt(20_000 / windows)


def test_sampler_refuses_clips_longer_than_every_episode(dataset: EpisodeDataset) -> None:
    with pytest.raises(DatasetError, match="No episode has 99 steps"):
        ClipSampler(dataset, np.arange(50), 99, 8, 0)


def test_split_is_by_episode_and_fixed(dataset: EpisodeDataset) -> None:
    train, heldout = dataset.split("train"), dataset.split("heldout")
    assert sorted([*train, *heldout]) == list(range(50))
    assert 1 <= len(heldout) <= 12
    assert heldout.tolist() == EpisodeDataset(dataset.path).split("heldout").tolist()


def test_infos_have_one_value_per_frame() -> None:
    """infos[key][t] was seen with frame x_t; what is not numeric, or changes its shape, is not stored."""
    env = gym.wrappers.AddRenderObservation(CountingEnv())
    kept, dropped = find_info_keys(env, seed=7)
    assert kept == {"step": {"shape": [], "dtype": "int64"}, "where/now": {"shape": [2], "dtype": "float64"}}
    assert dropped == ["late", "text"]
    policy = RandomActions(env.action_space, np.random.default_rng(0))
    episode = record_episode(env, policy, 12, 1000, kept)
    assert_counts(episode)
    assert episode.infos["step"].tolist() == list(range(len(episode) + 1))
    assert episode.infos["where/now"].tolist() == [[12, t] for t in range(len(episode) + 1)]


def test_long_episodes_are_cut_as_truncated() -> None:
    env = gym.wrappers.AddRenderObservation(CountingEnv())
    policy = RandomActions(env.action_space, np.random.default_rng(0))
    episode = record_episode(env, policy, 13, 3, {})
    assert len(episode) == 3
    assert episode.truncated.tolist() == [False, False, True]
    assert not episode.terminated.any()
