"""Peak signal-to-noise ratio of frames, and the convention this project prints."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Rounding to whole grey levels alone makes a mean squared error of 1/12. Nothing is called better than that, so that a
# frame copied without any error has a PSNR too (58.9 dB) and means over frames exist.
ROUNDING_ERROR = 1 / 12
CEILING = 10 * math.log10(255**2 / ROUNDING_ERROR)
CONVENTION = (
    "PSNR in dB of each frame (peak 255, squared error averaged over height, width and channels, at least 1/12, "
    "so at most 58.9 dB), then averaged over frames"
)


def psnr(frames: Tensor, truth: Tensor) -> Tensor:
    """PSNR in dB [...] of uint8 frames [...,H,W,C] against the true ones; see CONVENTION."""
    return to_decibel(squared_error(frames, truth))


def squared_error(frames: Tensor, truth: Tensor) -> Tensor:
    """Mean squared error [...] of uint8 frames [...,H,W,C], in grey levels squared; float64."""
    if frames.dtype != torch.uint8 or truth.dtype != torch.uint8 or frames.shape != truth.shape:
        raise ValueError(
            f"frames must be uint8 of one shape, got {frames.dtype} {tuple(frames.shape)} "
            f"and {truth.dtype} {tuple(truth.shape)}"
        )
    return (frames.float() - truth.float()).square().flatten(-3).double().mean(-1)


def to_decibel(error: Tensor) -> Tensor:
    """PSNR of a mean squared error in grey levels squared."""
    return 10 * torch.log10(255**2 / error.clamp(min=ROUNDING_ERROR))
