"""Picture measures against torchmetrics and against what they must do."""

import numpy as np
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from worldmodel.evaluation.metrics.pictures import haarpsi, picture_scores, ssim

RNG = np.random.default_rng(0)


def pictures(count: int, size: int = 32) -> np.ndarray:
    coarse = RNG.integers(0, 256, (count, size // 8, size // 8, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def planes(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float()


def noisy(frames: np.ndarray, level: float) -> np.ndarray:
    return np.clip(frames + RNG.normal(0, level, frames.shape), 0, 255).astype(np.uint8)


def test_ssim_is_torchmetrics_own_without_the_windows_that_leave_the_picture() -> None:
    first = pictures(4)
    second = noisy(first, 20)
    _, full = structural_similarity_index_measure(
        planes(second), planes(first), data_range=255.0, reduction="none", return_full_image=True
    )
    expected = full[..., 5:-5, 5:-5].flatten(1).mean(1)
    assert torch.allclose(ssim(planes(second), planes(first)).float(), expected, atol=1e-4)


def test_both_are_one_on_the_truth_and_fall_with_noise() -> None:
    first = pictures(6)
    for measure in (ssim, haarpsi):
        scores = [
            measure(planes(noisy(first, level)), planes(first)).mean().item() for level in (0, 5, 20, 60)
        ]
        assert scores[0] > 0.999 and scores == sorted(scores, reverse=True) and scores[-1] < 0.8
        forth, back = measure(planes(noisy(first, 9)), planes(first)), measure(planes(first), planes(first))
        assert (forth <= back + 1e-6).all()
    flat = torch.full((1, 3, 32, 32), 90.0)
    assert haarpsi(flat, flat).item() > 0.99


def test_scores_have_a_step_each_and_moving_regions_are_those_that_move() -> None:
    last = np.full((2, 16, 16, 3), 100, np.uint8)
    truth = last[:, None].repeat(3, axis=1)
    truth[0, 1:, 4:8, 4:8] = 250
    frames = truth.copy()
    frames[0, 2, 4:8, 4:8] = 100  # missed the motion
    scores = picture_scores(frames, truth, last)
    assert {key: value.shape for key, value in scores.items()} == dict.fromkeys(scores, (2, 3))
    assert np.isnan(scores["psnr_moving"][1]).all() and np.isnan(scores["psnr_moving"][0, 0])
    assert scores["psnr_moving"][0, 1] > 58 and scores["psnr_moving"][0, 2] < 6 < scores["psnr"][0, 2]
