import numpy as np
import pytest
from data_helpers import HELD, counting

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
    ends = np.concatenate([sampler.batch(step).terminated.numpy() for step in range(STEPS)])
    assert ends.mean() == pytest.approx(sampler.end_rate, rel=0.05)
    assert not ends[:, :-1].any(), "an end is a clip's last step"
    if end_share:
        assert ends[:, -1].mean() > end_share


def test_without_ends_there_is_nothing_to_show_more_often(dataset):
    endless = np.flatnonzero(~dataset.terminated[dataset.first_step + dataset.lengths - 1])
    sampler = ClipSampler(dataset, endless, LENGTH, BATCH, seed=0, end_share=0.5)
    assert sampler.end_rate == 0.0
    assert not sampler.batch(0).terminated.any()
