"""A few dreams to look at."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from counting_data import HELD
from dot_env import DotDream, find, move

from worldmodel.data.collect import collect
from worldmodel.data.dataset import EpisodeDataset
from worldmodel.errors import DatasetError
from worldmodel.evaluation.excursions import retrace, wander


@pytest.fixture
def dream() -> Any:
    return DotDream(2.0)


def test_wandering_follows_the_policy_step_by_step(dream: Any) -> None:
    trip = wander(dream, HELD, count=4, steps=6, passes=None, seed=0)
    assert trip.imagined.frames.shape == (4, 6, 16, 16, 3) and trip.actions.shape == (4, 6, 2)
    for b in range(4):
        place = find(trip.context[b, -1].numpy())
        for h in range(6):
            place = move(*place, trip.actions[b, h])
            assert find(trip.imagined.frames[b, h].numpy()) == place
    assert len(np.unique(trip.actions, axis=0)) == 4, "each dream has a policy of its own"


def test_the_same_seed_wanders_the_same_way(dream: Any) -> None:
    first, again, other = (wander(dream, HELD, 2, 5, None, seed) for seed in (1, 1, 2))
    assert torch.equal(first.imagined.frames, again.imagined.frames)
    assert not np.array_equal(first.actions, other.actions)


def test_after_a_called_end_the_dream_is_over(dream: Any) -> None:
    right = {"_target_": "worldmodel.agents.exploration.HeldActions", "max_hold": 1, "bounds": 1.0}
    trip = wander(dream, right, count=8, steps=20, passes=None, seed=0)
    called = trip.imagined.terminated.numpy()
    assert called.any()
    for row, over in zip(called, trip.over(), strict=True):
        first = int(row.argmax()) if row.any() else len(row)
        assert over.tolist() == [step > first for step in range(len(row))]


def test_retracing_an_exact_dream_is_what_happened(dream: Any, tmp_path: Path) -> None:
    collect({"id": "dot_env:Dot-v0", "size": 16}, HELD, tmp_path / "data", episodes=12, seed=0, workers=0)
    dataset = EpisodeDataset(tmp_path / "data")
    trip = retrace(dream, dataset, count=3, steps=10, passes=None, seed=0)
    assert trip.truth is not None and trip.truth.valid.all()
    assert torch.equal(trip.imagined.frames, trip.truth.frames)
    assert set(trip.truth.episodes.tolist()) <= set(dataset.split("heldout").tolist())


def test_another_worlds_data_is_refused_in_one_sentence(dream: Any, tmp_path: Path) -> None:
    collect({"id": "dot_env:Dot-v0", "size": 32}, HELD, tmp_path / "data", episodes=3, seed=0, workers=0)
    with pytest.raises(DatasetError, match=r"The frames of .* is \(32, 32, 3\), the checkpoint learned"):
        retrace(dream, EpisodeDataset(tmp_path / "data"), 2, 4, None, 0)
