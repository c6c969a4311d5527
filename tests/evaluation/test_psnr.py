"""PSNR against torchmetrics, and the ceiling that keeps means finite."""

import pytest
import torch
from torchmetrics.image import PeakSignalNoiseRatio

from worldmodel.evaluation.psnr import CEILING, psnr, squared_error


def frames(seed: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_agrees_with_torchmetrics_frame_by_frame() -> None:
    ours, theirs = frames(0, 5, 4, 8, 8, 3), frames(1, 5, 4, 8, 8, 3)
    reference = PeakSignalNoiseRatio(data_range=255.0, reduction="none", dim=(1, 2, 3))
    expected = reference(ours.flatten(0, 1).double(), theirs.flatten(0, 1).double())
    assert torch.allclose(psnr(ours, theirs).flatten(), expected.double(), atol=1e-4)


def test_equal_frames_are_at_the_ceiling_and_one_level_off_is_below() -> None:
    frame = frames(2, 1, 8, 8, 3).clamp(max=254)
    assert psnr(frame, frame).item() == pytest.approx(CEILING)
    assert psnr(frame + 1, frame).item() == pytest.approx(48.13, abs=0.01)
    assert round(CEILING, 2) == 58.92


def test_errors_are_in_grey_levels_squared() -> None:
    black = torch.zeros(2, 4, 4, 3, dtype=torch.uint8)
    assert squared_error(black + 10, black).tolist() == [100.0, 100.0]


def test_other_dtypes_or_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        psnr(torch.zeros(1, 4, 4, 3), torch.zeros(1, 4, 4, 3))
    with pytest.raises(ValueError, match="one shape"):
        psnr(frames(0, 2, 4, 4, 3), frames(0, 1, 4, 4, 3))
