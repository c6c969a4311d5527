"""Futures begin and end where they should: frames that say (episode, t) leave no room for an off-by-one."""

import numpy as np
import pytest
import torch
from counting_data import HELD, counting
from counting_env import read, reward_of

from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import DatasetError
from worldmodel.evaluation.moments.futures import Futures, draw_futures, futures_before_ends

CONTEXT, HORIZON = 3, 6


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> EpisodeDataset:
    """Episodes of 4 to 12 steps, so that some are shorter than context and horizon."""
    out = tmp_path_factory.mktemp("counted") / "data"
    collect(counting(), HELD, out, episodes=24, seed=5, workers=0)
    return EpisodeDataset(out)


@pytest.fixture(scope="module")
def futures(dataset: EpisodeDataset) -> Futures:
    return draw_futures(dataset, np.arange(dataset.episodes), CONTEXT, HORIZON, count=60, seed=1)


def assert_aligned(dataset: EpisodeDataset, futures: Futures) -> None:
    """Every number of every future is the one that the time table says."""
    for b in range(len(futures)):
        episode, start = dataset.episode(int(futures.episodes[b])), int(futures.starts[b])
        seeds, times = read(futures.context_frames[b].numpy())
        assert (seeds == episode.seed % 2**24).all() and times.tolist() == list(range(start, start + CONTEXT))
        now, steps = start + CONTEXT - 1, int(futures.valid[b].sum())
        assert futures.valid[b].tolist() == [True] * steps + [False] * (futures.horizon - steps)
        assert steps == min(len(episode) - now, futures.horizon)
        _, times = read(futures.frames[b].numpy())
        last = now + steps
        assert times.tolist() == [min(now + 1 + h, last) for h in range(futures.horizon)]
        stored = dataset.codec.decode(
            torch.cat([futures.context_actions[b], futures.actions[b, :steps]]).numpy()
        )
        np.testing.assert_allclose(stored, episode.actions[start : start + len(stored)], atol=1e-6)
        expected = [reward_of(action) for action in episode.actions[now:last]]
        assert futures.rewards[b, :steps].tolist() == expected
        assert futures.terminated[b, :steps].tolist() == episode.terminated[now:last].tolist()


def test_every_frame_action_reward_and_end_is_the_right_one(
    dataset: EpisodeDataset, futures: Futures
) -> None:
    assert_aligned(dataset, futures)


def test_long_episodes_give_the_whole_horizon_and_short_ones_what_they_have(
    dataset: EpisodeDataset, futures: Futures
) -> None:
    lengths = dataset.lengths[futures.episodes.numpy()]
    assert futures.valid.sum(1).tolist() == np.minimum(lengths - (CONTEXT - 1), HORIZON).tolist()
    assert futures.counts() == futures.valid.sum(0).tolist()
    assert futures.counts()[-1] < futures.counts()[0] == 60


def test_actions_after_the_end_start_over(futures: Futures) -> None:
    short = int(futures.valid.sum(1).argmin())
    steps = int(futures.valid[short].sum())
    assert torch.equal(futures.actions[short, steps], futures.actions[short, 0])


def test_every_episode_takes_part_before_one_does_twice(dataset: EpisodeDataset) -> None:
    futures = draw_futures(dataset, np.arange(dataset.episodes), CONTEXT, HORIZON, dataset.episodes, seed=0)
    assert sorted(futures.episodes.tolist()) == list(range(dataset.episodes))


def test_the_same_seed_draws_the_same(dataset: EpisodeDataset) -> None:
    first, second, other = (
        draw_futures(dataset, np.arange(dataset.episodes), CONTEXT, HORIZON, 10, seed) for seed in (3, 3, 4)
    )
    assert torch.equal(first.frames, second.frames)
    assert not torch.equal(first.starts, other.starts) or not torch.equal(first.episodes, other.episodes)


def test_a_horizon_that_no_episode_has_becomes_the_longest_there_is(dataset: EpisodeDataset) -> None:
    futures = draw_futures(dataset, np.arange(dataset.episodes), CONTEXT, 500, dataset.episodes, seed=0)
    assert futures.horizon == dataset.lengths.max() - (CONTEXT - 1)
    assert (futures.starts == 0).all()


def test_no_episode_long_enough_is_an_error(dataset: EpisodeDataset) -> None:
    with pytest.raises(DatasetError, match="14 context frames: collect longer"):
        draw_futures(dataset, np.arange(dataset.episodes), 14, HORIZON, 4, seed=0)


def test_futures_before_ends_lead_up_to_each_true_end(dataset: EpisodeDataset) -> None:
    every = np.arange(dataset.episodes)
    futures = futures_before_ends(dataset, every, CONTEXT, most_steps=2)
    assert futures is not None
    assert_aligned(dataset, futures)
    ended = [i for i in every if dataset.episode(i).terminated[-1]]
    assert sorted(futures.episodes.tolist()) == sorted([*ended, *ended])
    assert futures.terminated[futures.valid].sum() == len(futures)
    going_on = np.array([i for i in every if i not in ended])
    assert futures_before_ends(dataset, going_on, CONTEXT, most_steps=2) is None
