import numpy as np
import pytest
from counting_data import HELD, counting
from counting_env import read

from worldmodel.data.collect import collect
from worldmodel.data.windows import ClipSampler

LENGTH, BATCH, STEPS = 4, 16, 500


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return collect(
        env=counting(), policy=HELD, out=tmp_path_factory.mktemp("data") / "c", episodes=24, workers=0
    )


@pytest.mark.parametrize("end_share", [0.0, 0.3])
def test_ends_come_as_often_as_the_sampler_says(dataset, end_share):
    """The rate is what the termination head's probability is corrected by."""
    sampler = ClipSampler(dataset, np.arange(24), LENGTH, BATCH, seed=0, end_share=end_share)
    batches = [sampler.batch(step) for step in range(STEPS)]
    ends = np.concatenate([batch.terminated.numpy() for batch in batches])
    valid = np.concatenate([batch.valid.numpy() for batch in batches])
    assert ends.sum() / valid.sum() == pytest.approx(sampler.end_rate, rel=0.05)
    if end_share:
        places = ends[~valid[:, -1]][:, :-1].sum(axis=0)  # of padded clips
        assert places.min() > 0.8 * places.mean(), "an end comes at any place of a clip"
    else:
        assert valid.all() and not ends[:, :-1].any()


def test_what_follows_an_end_repeats_its_frame_and_counts_for_nothing(dataset):
    ended = np.flatnonzero(dataset.terminated[dataset.first_step + dataset.lengths - 1])[:1]
    batch = ClipSampler(dataset, np.arange(24), LENGTH, 1, seed=0).gather(ended, dataset.lengths[ended] - 2)
    assert batch.valid.tolist() == [[True, True, False, False]]
    assert batch.terminated.tolist() == [[False, True, False, False]]
    assert batch.rewards[0, 2:].tolist() == [0.0, 0.0]
    _, steps = read(batch.frames.numpy())
    last = int(dataset.lengths[ended[0]])
    assert steps.tolist() == [[last - 2, last - 1, last, last, last]]


def test_without_ends_there_is_nothing_to_show_more_often(dataset):
    endless = np.flatnonzero(~dataset.terminated[dataset.first_step + dataset.lengths - 1])
    sampler = ClipSampler(dataset, endless, LENGTH, BATCH, seed=0, end_share=0.5)
    assert sampler.end_rate == 0.0
    assert not sampler.batch(0).terminated.any()


@pytest.mark.parametrize("end_share", [0.0, 0.3])
def test_by_their_importance_all_transitions_count_the_same(dataset, end_share):
    """Ends are shown more often on purpose, an episode's first steps less often by chance of where windows lie."""
    sampler = ClipSampler(dataset, np.arange(24), LENGTH, BATCH, seed=0, end_share=end_share)
    batches = [sampler.batch(step) for step in range(1000)]
    seeds, steps = read(np.concatenate([batch.frames[:, :-1].numpy() for batch in batches]))
    importance = np.concatenate([batch.importance.numpy() for batch in batches])
    valid = np.concatenate([batch.valid.numpy() for batch in batches])
    assert not importance[~valid].any()
    assert importance[valid].mean() == pytest.approx(1.0, abs=0.02)
    shown = np.unique(seeds[valid] * 100 + steps[valid], return_inverse=True)[1]
    counted = np.bincount(shown, importance[valid])
    assert len(counted) == dataset.transitions
    assert counted == pytest.approx(counted.mean(), rel=0.3), (
        "6 standard deviations of what is seen least often"
    )


def test_processes_share_out_the_clips_of_a_batch(dataset):
    sampler = ClipSampler(dataset, np.arange(24), LENGTH, BATCH, seed=0, end_share=0.3)
    whole, parts = sampler.batch(7), [sampler.batch(7, rank, 3) for rank in range(3)]
    for rank, part in enumerate(parts):
        assert part.frames.equal(whole.frames[rank::3])
        assert part.importance.equal(whole.importance[rank::3])
