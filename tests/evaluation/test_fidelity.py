"""What fidelity says of dreams whose worth is known: an exact one, a deaf one, a slow one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from counting_data import HELD
from dot_env import DotDream

from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.evaluation.moments.futures import Futures, draw_futures, futures_before_ends
from worldmodel.evaluation.pixels.endings import count_calls, measure_endings
from worldmodel.evaluation.pixels.fidelity import (
    COPY,
    DREAM,
    NOISY,
    SHUFFLED,
    STILL,
    Fidelity,
    measure_fidelity,
    shuffled,
)
from worldmodel.evaluation.pixels.signals import measure_trust
from worldmodel.evaluation.psnr import CEILING


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> EpisodeDataset:
    out = tmp_path_factory.mktemp("dots") / "data"
    env = {"id": "dot_env:Dot-v0", "size": 16, "kwargs": {"ends": True}}
    collect(env, HELD, out, episodes=24, seed=1, workers=0)
    return EpisodeDataset(out)


@pytest.fixture(scope="module")
def futures(dataset: EpisodeDataset) -> Futures:
    return draw_futures(dataset, np.arange(dataset.episodes), 3, 8, count=24, seed=2)


def measured(speed: float, futures: Futures, **kwargs: Any) -> Fidelity:
    dream: Any = DotDream(speed)
    return measure_fidelity(dream, futures, **kwargs)


def test_an_exact_dream_is_at_the_ceiling_and_above_every_control(futures: Futures) -> None:
    found = measured(2.0, futures)
    assert found.psnr[DREAM] == pytest.approx([CEILING] * 8)
    assert found.psnr_pooled[DREAM] == pytest.approx([CEILING] * 8)
    for row in (COPY, SHUFFLED, STILL):
        assert all(gain.low > 0 for gain in found.gain_over[row][1:]), row
        assert found.gain_over[row][7].mean == pytest.approx(CEILING - found.psnr[row][7])
    assert found.rewards.overall_correlation is not None
    assert found.rewards.overall_correlation.mean == pytest.approx(1.0)
    assert all(at is not None and at.low > 0.99 for at in found.rewards.correlation)
    assert found.rewards.error == pytest.approx([0.0] * 8)
    assert found.counts == futures.counts()
    last = futures.context_frames[:, -1]
    same = [(frame == last).flatten(1).all(1) for frame in futures.frames.unbind(1)]
    reached = zip(same, futures.valid.unbind(1), strict=True)
    assert found.unmoved == [int((a & b).sum()) for a, b in reached]


def test_a_deaf_dream_gains_nothing_over_shuffled_actions_or_the_copy(futures: Futures) -> None:
    found = measured(0.0, futures)
    for row in (COPY, SHUFFLED, STILL):
        assert [gain.mean for gain in found.gain_over[row]] == pytest.approx([0.0] * 8, abs=1e-9)
    assert found.rewards.error[7] > 0.1


def test_a_dream_that_moves_half_as_far_lies_between(futures: Futures) -> None:
    half, exact, deaf = (measured(speed, futures).psnr[DREAM][0] for speed in (1.0, 2.0, 0.0))
    assert deaf < half < exact


def test_another_simulation_is_one_more_row(futures: Futures) -> None:
    found = measured(2.0, futures, noisy=futures.frames)
    assert found.psnr[NOISY] == pytest.approx([CEILING] * 8)
    assert NOISY in found.gain_over and NOISY not in measured(2.0, futures).psnr


def test_batches_change_nothing(futures: Futures) -> None:
    assert measured(1.0, futures, max_batch=7) == measured(1.0, futures)


def test_frames_after_an_end_do_not_count(futures: Futures) -> None:
    """An episode that is over has no frames: whatever stands there in the arrays must not move a number."""
    assert not futures.valid.all()
    spoilt = futures.frames.clone()
    spoilt[~futures.valid] = 0
    assert measured(1.0, replace(futures, frames=spoilt)).psnr == measured(1.0, futures).psnr


def test_shuffled_actions_are_those_of_another_episode(futures: Futures) -> None:
    own, other = futures.actions, shuffled(futures)
    assert not any(torch.equal(a, b) for a, b in zip(own, other, strict=True))
    assert torch.equal(other[1:], own[:-1]) and torch.equal(other[0], own[-1])


def test_ends_are_found_where_the_dot_touches_the_wall(dataset: EpisodeDataset, futures: Futures) -> None:
    before = futures_before_ends(dataset, np.arange(dataset.episodes), 3, 4)
    assert before is not None
    endings = measured(2.0, futures, before_ends=before).endings
    assert endings.ends == int(futures.terminated[futures.valid].sum()) + len(before)
    assert endings.near is not None and endings.near.ends == endings.near.hits == len(before)
    for calls in (endings.whole, endings.near):
        assert calls.precision is not None and calls.precision.mean == 1.0
        assert calls.recall is not None and calls.recall.low == 1.0
    assert endings.separation == 1.0
    slow = measured(1.0, futures, before_ends=before).endings
    assert slow.near is not None and slow.near.recall is not None and slow.near.recall.mean < 1.0


@pytest.mark.parametrize(("called_at", "hit"), [(3, False), (4, True), (5, True), (6, True), (7, False)])
def test_a_call_is_right_within_one_step_of_the_true_end(futures: Futures, called_at: int, hit: bool) -> None:
    """The true end is the sixth of at most 8 steps; the one with a call too late to be seen calls nothing."""
    one = futures.select(torch.tensor([0]))
    valid = torch.arange(8)[None] < 6
    ended = replace(one, valid=valid, terminated=torch.arange(8)[None] == 5)
    chance = (torch.arange(9)[None] == called_at).float()
    calls = count_calls(chance, ended, seed=0)
    assert (calls.ends, calls.called, calls.hits) == (1, int(called_at <= 6), int(hit))
    going_on = replace(one, valid=valid, terminated=torch.zeros(1, 8, dtype=torch.bool))
    calls = count_calls(chance, going_on, seed=0)
    assert (calls.ends, calls.called, calls.hits) == (0, int(called_at < 6), 0)
    assert calls.recall is None and (calls.precision is None) == (called_at >= 6)


def test_no_true_end_is_said_to_be_none(futures: Futures) -> None:
    """Instead of a recall of zero."""
    going_on = replace(futures, terminated=torch.zeros_like(futures.terminated))
    endings = measure_endings((torch.zeros(futures.valid.shape), going_on))
    assert (endings.ends, endings.whole.recall, endings.separation) == (0, None, None)


def test_uncertainty_is_trusted_exactly_when_it_ranks_errors(futures: Futures) -> None:
    error = torch.rand(futures.valid.shape, generator=torch.Generator().manual_seed(0))
    good, bad = measure_trust(error**3, error, futures), measure_trust(-error, error, futures)
    assert good.rank_correlation is not None and good.rank_correlation.mean == pytest.approx(1.0)
    assert bad.rank_correlation is not None and bad.rank_correlation.high == pytest.approx(-1.0)
    assert len(good.by_horizon) == 8 and all(at is not None and at.low > 0.99 for at in good.by_horizon)
    assert good.error_of_most_certain_tenth < good.error_of_least_certain_tenth  # type: ignore[operator]
    later = torch.arange(8.0).expand(futures.valid.shape)
    only_time = measure_trust(later, later + error / 100, futures)
    assert only_time.rank_correlation is not None and only_time.rank_correlation.mean > 0.9
    assert only_time.rank_correlation_within_horizon is None, "knowing that later is worse earns nothing"


def test_a_single_pass_has_no_uncertainty(futures: Futures) -> None:
    assert measured(2.0, futures).trust.rank_correlation is None


def test_one_context_cannot_be_shuffled(dataset: EpisodeDataset, tmp_path: Path) -> None:
    single = draw_futures(dataset, np.arange(dataset.episodes), 3, 8, count=1, seed=2)
    with pytest.raises(ValueError, match="two contexts"):
        shuffled(single)
