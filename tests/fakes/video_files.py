"""Video files for tests, every pixel of which is known."""

from pathlib import Path

import imageio_ffmpeg
import numpy as np


def write_lossless(path: Path, frames: np.ndarray, fps: float = 10.0, group: int = 250) -> None:
    """H.264 in RGB without loss. group: frames between those that can be decoded without the ones before."""
    writer = imageio_ffmpeg.write_frames(
        str(path),
        frames.shape[2:0:-1],
        fps=fps,
        codec="libx264rgb",
        pix_fmt_out="rgb24",
        quality=None,
        macro_block_size=1,
        output_params=["-qp", "0", "-g", str(group)],
        ffmpeg_log_level="error",
    )
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(frame))
    writer.close()
