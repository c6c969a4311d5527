"""The one converter of frames."""

import pytest
import torch

from worldmodel.frames import float_to_frames, frames_to_float


def test_every_level_survives() -> None:
    frames = torch.arange(256, dtype=torch.uint8).reshape(1, 2, 8, 16, 1).expand(1, 2, 8, 16, 3)
    values = frames_to_float(frames)
    assert values.shape == (1, 2, 3, 8, 16)
    assert values.dtype == torch.float32
    assert (values.min(), values.max()) == (-1.0, 1.0)
    assert torch.equal(float_to_frames(values), frames)


def test_axes() -> None:
    frames = torch.zeros(4, 5, 3, dtype=torch.uint8)
    frames[1, 2, 0] = 255
    values = frames_to_float(frames)
    assert values[0, 1, 2] == 1.0
    assert (values == 1.0).sum() == 1
    assert values.is_contiguous()


def test_values_outside_are_clamped_not_wrapped() -> None:
    values = torch.tensor([-3.0, -1.001, 1.001, 3.0]).reshape(1, 1, 4)
    assert float_to_frames(values).flatten().tolist() == [0, 0, 255, 255]


def test_wrong_dtypes_are_refused() -> None:
    with pytest.raises(TypeError, match="must be uint8"):
        frames_to_float(torch.zeros(3, 4, 4))
    with pytest.raises(TypeError, match="must be floating point"):
        float_to_frames(torch.zeros(3, 4, 4, dtype=torch.uint8))
