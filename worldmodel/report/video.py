"""Frames as H.264 video and as PNG, in memory."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import imageio.v3 as imageio
import imageio_ffmpeg
import numpy as np
from PIL import Image

SLOWEST, FASTEST = 4.0, 30.0  # frames per second a video is played at
_HOLD_SECONDS = 0.6  # the last frame stays that long before the loop begins again


def encode_mp4(frames: np.ndarray, fps: float) -> bytes | None:
    """uint8 [T,H,W,3] with even H and W as an mp4 that browsers play (H.264, yuv420p).

    None when this machine has no ffmpeg (imageio-ffmpeg brings one for most): callers then show stills and say so.
    """
    if not has_ffmpeg():
        return None
    rate = min(max(fps, SLOWEST), FASTEST)
    height, width = frames.shape[1:3]
    frames = np.concatenate([frames, frames[-1:].repeat(round(_HOLD_SECONDS * rate), axis=0)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        writer = imageio_ffmpeg.write_frames(
            str(path),
            (width, height),
            fps=rate,
            codec="libx264",
            pix_fmt_out="yuv420p",
            macro_block_size=1,
            quality=None,
            output_params=[
                "-crf",
                "23",
                "-preset",
                "medium",
                "-tune",
                "animation",
                "-movflags",
                "+faststart",
            ],
            ffmpeg_log_level="error",
        )
        writer.send(None)
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
        writer.close()
        return path.read_bytes()


def encode_gif(frames: np.ndarray, fps: float) -> bytes:
    """uint8 [T,H,W,3] as a GIF that loops. It has 256 colours, and shows a frame for a whole number of 1/100 s."""
    buffer = io.BytesIO()
    duration = 1000 / min(max(fps, SLOWEST), FASTEST)
    imageio.imwrite(buffer, frames, extension=".gif", duration=duration, loop=0)
    return buffer.getvalue()


def has_ffmpeg() -> bool:
    """Whether videos can be written here."""
    try:
        imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        return False
    return True


def encode_png(frame: np.ndarray) -> bytes:
    """uint8 [H,W,3] as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
