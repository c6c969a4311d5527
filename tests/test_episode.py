"""Episodes, clips and batches check what they are made of."""

from typing import Any

import numpy as np
import pytest
import torch

from worldmodel.episode import Batch, Clip, Episode
from worldmodel.errors import DatasetError


def episode(**change: Any) -> Episode:
    parts = {
        "frames": np.zeros((6, 4, 4, 3), np.uint8),
        "actions": np.zeros((5, 2), np.float32),
        "rewards": np.arange(5, dtype=np.float32),
        "terminated": np.zeros(5, bool),
        "truncated": np.zeros(5, bool),
        "infos": {"energy": np.zeros((6, 3))},
    }
    return Episode(**{**parts, **change})


def test_good_episode() -> None:
    assert len(episode()) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"frames": np.zeros((5, 4, 4, 3), np.uint8)},
            r"frames has shape \(5, 4, 4, 3\), expected \(6, 4, 4, 3\)",
        ),
        ({"frames": np.zeros((6, 4, 4, 3))}, "frames must be uint8, got float64"),
        ({"frames": np.zeros((6, 4, 4), np.uint8)}, r"frames must have shape \[T\+1, H, W, C\]"),
        ({"rewards": np.zeros(6)}, r"rewards has shape \(6,\), expected \(5,\)"),
        ({"infos": {"energy": np.zeros((5, 3))}}, r"infos\['energy'\] has shape \(5, 3\), expected \(6, 3\)"),
    ],
)
def test_both_shapes_are_named(change: dict, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        episode(**change)


def test_clip_of_an_episode() -> None:
    clip = episode().clip(2, 3)
    assert isinstance(clip, Clip)
    assert (len(clip.frames), clip.rewards.tolist(), clip.start) == (4, [2, 3, 4], 2)
    with pytest.raises(DatasetError, match="No 4-step clip starts at step 2: the episode has 5 steps"):
        episode().clip(2, 4)


def test_batch() -> None:
    parts = {
        "frames": torch.zeros(2, 5, 4, 4, 3, dtype=torch.uint8),
        "actions": torch.zeros(2, 4, 3),
        "rewards": torch.zeros(2, 4),
        "terminated": torch.zeros(2, 4, dtype=torch.bool),
        "valid": torch.ones(2, 4, dtype=torch.bool),
        "at_start": torch.zeros(2, dtype=torch.bool),
        "importance": torch.ones(2, 4),
    }
    assert Batch(**parts).to("cpu").frames.shape == (2, 5, 4, 4, 3)
    with pytest.raises(DatasetError, match=r"rewards has shape \(2, 5\), expected \(2, 4\)"):
        Batch(**{**parts, "rewards": torch.zeros(2, 5)})
