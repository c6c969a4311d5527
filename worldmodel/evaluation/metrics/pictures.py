"""M10: how close pictures are. Secondary to all that is said about states, and never averaged with it."""

# N pictures, C channels, H W size; every measure is of single pictures, on uint8 values 0 to 255

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from worldmodel.evaluation.psnr import to_decibel

SSIM_CONVENTION = (
    "SSIM (Wang et al., 2004) of every colour channel, Gaussian window of 11 pixels and standard deviation 1.5 "
    "(smaller where the picture is), peak 255, K1 = 0.01, K2 = 0.03, biased variances, windows that lie inside "
    "the picture"
)
HAARPSI_CONVENTION = (
    "HaarPSI (Reisenhofer et al., 2018) on YIQ colours, C = 30, alpha = 4.2, after averaging 2 by 2 pixels where the "
    "picture has at least 128"
)
MOVED = 12  # grey levels by which a pixel must change since the last known frame to count as moving
_CHUNK = 512  # pictures at a time, which bounds memory
LOOKS = 12
MEASURES = ("psnr", "ssim", "haarpsi", "psnr_moving")


def picture_scores(
    frames: NDArray[np.uint8], truth: NDArray[np.uint8], last: NDArray[np.uint8]
) -> dict[str, NDArray[np.float64]]:
    """MEASURES of frames uint8 [N,h,H,W,C] against the true ones, each [N,h]; last uint8 [N,H,W,C] is the last known
    frame.

    psnr_moving: PSNR on the pixels that differ by more than MOVED levels from the last known frame in truth, or in
    the frame itself (a region that should have stayed still counts too); NaN where none does. ssim and haarpsi only
    at the steps that `looked_at` names, NaN elsewhere.
    """
    count, horizon = frames.shape[:2]
    base = np.repeat(last[:, None], horizon, axis=1)
    flat = [array.reshape(-1, *array.shape[2:]) for array in (frames, truth, base)]
    looked = np.tile(np.isin(np.arange(horizon), looked_at(horizon)), count)
    scores = {name: np.full(count * horizon, np.nan) for name in MEASURES}
    for start in range(0, count * horizon, _CHUNK):
        part = slice(start, start + _CHUNK)
        mine, true, before = (torch.from_numpy(side[part]).permute(0, 3, 1, 2).float() for side in flat)
        scores["psnr"][part], scores["psnr_moving"][part] = (
            side.numpy() for side in _psnr(mine, true, before)
        )
        chosen = torch.from_numpy(looked[part])
        if chosen.any():
            places = np.flatnonzero(looked[part]) + start
            scores["ssim"][places] = ssim(mine[chosen], true[chosen]).numpy()
            scores["haarpsi"][places] = haarpsi(mine[chosen], true[chosen]).numpy()
    return {name: values.reshape(count, horizon) for name, values in scores.items()}


def looked_at(horizon: int) -> NDArray[np.int64]:
    """The steps (from 0) at which the slower measures are taken: the first five, and so many of the rest."""
    return np.unique(
        np.concatenate([np.arange(min(5, horizon)), np.linspace(0, horizon - 1, LOOKS).astype(int)])
    )


def _psnr(frames: Tensor, truth: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Of whole pictures and of what moves, [N] each; NaN where nothing does."""
    error = (frames - truth).square().mean(1)
    moving = ((truth - last).abs().amax(1) > MOVED) | ((frames - last).abs().amax(1) > MOVED)
    pixels = moving.flatten(1).sum(1)
    moved = (error * moving).flatten(1).double().sum(1) / pixels
    whole = to_decibel(error.flatten(1).double().mean(1))
    return whole, torch.where(pixels > 0, to_decibel(moved), torch.nan)


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """[N] of float pictures [N,C,H,W] with values 0 to 255; see SSIM_CONVENTION."""
    size = min(11, first.shape[-2] | 1, first.shape[-1] | 1, *(s - (s + 1) % 2 for s in first.shape[-2:]))
    places = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    line = torch.exp(-(places**2) / (2 * 1.5**2))
    line = line / line.sum()
    channels = first.shape[1]
    stacked = torch.cat([first, second, first * first, second * second, first * second], dim=1)
    weight = line.repeat(5 * channels, 1)
    stacked = F.conv2d(stacked, weight[:, None, :, None], groups=5 * channels)
    stacked = F.conv2d(stacked, weight[:, None, None, :], groups=5 * channels)
    a, b, aa, bb, ab = stacked.split(channels, dim=1)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    cross, spread = ab - a * b, aa - a * a + bb - b * b
    similar = (2 * a * b + c1) * (2 * cross + c2) / ((a * a + b * b + c1) * (spread + c2))
    return similar.flatten(1).mean(1).double()


def haarpsi(first: Tensor, second: Tensor) -> Tensor:
    """[N] in [0,1] of float pictures [N,C,H,W] with values 0 to 255; see HAARPSI_CONVENTION."""
    planes = [_planes(side) for side in (first, second)]
    if min(first.shape[-2:]) >= 128:
        planes = [F.avg_pool2d(side, 2) for side in planes]
    luma = [_haar(side[:, :1]) for side in planes]
    similar = [
        torch.stack([_alike(luma[0][axis][s], luma[1][axis][s]) for s in (0, 1)]).mean(0) for axis in (0, 1)
    ]
    weights = [torch.maximum(luma[0][axis][2].abs(), luma[1][axis][2].abs()) for axis in (0, 1)]
    if planes[0].shape[1] == 3:
        chroma = [F.avg_pool2d(F.pad(side[:, 1:], (0, 1, 0, 1), mode="replicate"), 2, 1) for side in planes]
        similar.append(_alike(chroma[0].abs(), chroma[1].abs()).mean(1, keepdim=True))
        weights.append((weights[0] + weights[1]) / 2)
    value, weight = torch.cat(similar, dim=1), torch.cat(weights, dim=1)
    logistic = torch.sigmoid(_ALPHA * value)
    score = (logistic * weight).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp(min=1e-9)
    flat = weight.flatten(1).sum(1) < 1e-6  # two pictures without any structure
    score = torch.where(flat, logistic.flatten(1).mean(1), score).clamp(0.5 + 1e-6, 1 - 1e-6)
    return ((torch.logit(score) / _ALPHA) ** 2).clamp(max=1.0).double()


_C, _ALPHA = 30.0, 4.2


def _alike(first: Tensor, second: Tensor) -> Tensor:
    first, second = first.abs(), second.abs()
    return (2 * first * second + _C**2) / (first * first + second * second + _C**2)


def _planes(picture: Tensor) -> Tensor:
    """Y, I, Q of RGB; of any other number of channels their mean alone."""
    if picture.shape[1] != 3:
        return picture.mean(1, keepdim=True)
    weights = [[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]]
    return torch.einsum("ij,njhw->nihw", torch.tensor(weights), picture)


def _haar(luma: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Haar responses at three scales, [N,1,H,W] each: down and across. Differences of sums over two half squares, from
    running sums: their cost does not grow with the scale."""
    height, width = luma.shape[-2:]
    down, across = [], []
    for scale in (1, 2, 3):
        side, half = 2**scale, 2 ** (scale - 1)
        before = (side - 1) // 2
        padded = F.pad(luma, (before + 1, side - 1 - before, before + 1, side - 1 - before))
        sums = padded.double().cumsum(-1).cumsum(-2)

        def box(top: int, left: int, tall: int, wide: int, sums: Tensor = sums) -> Tensor:
            rows, columns = slice(top, top + height), slice(left, left + width)
            low, right = slice(top + tall, top + tall + height), slice(left + wide, left + wide + width)
            return (
                sums[..., low, right]
                - sums[..., rows, right]
                - sums[..., low, columns]
                + sums[..., rows, columns]
            )

        whole = box(0, 0, side, side)
        down.append(((whole - 2 * box(0, 0, half, side)) * 2.0**-scale).float())
        across.append(((whole - 2 * box(0, 0, side, half)) * 2.0**-scale).float())
    return down, across
