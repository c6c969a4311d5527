"""The one converter between frames as people see them (uint8) and as networks see them (float32 in [-1, 1])."""

import numpy as np
import torch


def frames_to_float(frames: torch.Tensor) -> torch.Tensor:
    """uint8 [..., H, W, C] -> float32 [..., C, H, W] in [-1, 1]: 0 becomes -1, 255 becomes 1."""
    if frames.dtype != torch.uint8:
        raise TypeError(f"frames must be uint8 [..., H, W, C], got {frames.dtype} {tuple(frames.shape)}")
    return (
        frames.movedim(-1, -3).to(torch.float32, memory_format=torch.contiguous_format).div_(127.5).sub_(1.0)
    )


def float_to_frames(frames: torch.Tensor) -> torch.Tensor:
    """float [..., C, H, W] -> uint8 [..., H, W, C]; values outside [-1, 1] are clamped. Inverse of frames_to_float."""
    if not frames.is_floating_point():
        raise TypeError(
            f"frames must be floating point [..., C, H, W], got {frames.dtype} {tuple(frames.shape)}"
        )
    levels = frames.float().add(1.0).mul_(127.5).round_().clamp_(0, 255)
    return levels.to(torch.uint8).movedim(-3, -1).contiguous()


def as_colours(frames: np.ndarray) -> np.ndarray:
    """[..., H, W, C] -> [..., H, W, 3], to be looked at: the first three channels, or the first one in grey."""
    return frames[..., :3] if frames.shape[-1] >= 3 else frames[..., :1].repeat(3, axis=-1)
