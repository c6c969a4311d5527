"""Frames out of video files."""

from __future__ import annotations

from pathlib import Path

import imageio_ffmpeg
import numpy as np

from worldmodel.errors import DatasetError

VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".avi")


def read_video(path: Path, start: float = 0.0, count: int | None = None) -> np.ndarray:
    """uint8 [N,H,W,3]: every stored frame from `start` seconds on, at most `count` of them, none doubled or left out.

    Raises DatasetError naming the file when it cannot be decoded or has fewer than `count` frames.
    """
    if not path.is_file():
        raise DatasetError(f"{path} is missing.")
    seek = ["-ss", f"{start:.6f}"] if start > 0 else []
    limit = [] if count is None else ["-frames:v", str(count)]
    # Without passthrough, ffmpeg repeats and drops frames to hold a constant rate.
    reader = imageio_ffmpeg.read_frames(
        str(path), input_params=seek, output_params=["-fps_mode", "passthrough", *limit]
    )
    try:
        width, height = next(reader)["size"]
        frames = [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]
    except (OSError, RuntimeError, StopIteration) as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise DatasetError(f"{path} cannot be decoded as video: {reason}") from error
    if not frames or (count is not None and len(frames) < count):
        wanted = f", expected {count} from second {start:g} on" if count is not None else ""
        raise DatasetError(
            f"{path} has {len(frames)} frames{wanted}: the file is cut short or not the right one."
        )
    return np.stack(frames)


def video_fps(path: Path) -> float:
    """Frames per second as the file states them, 0 when it does not."""
    reader = imageio_ffmpeg.read_frames(str(path))
    try:
        return float(next(reader)["fps"])
    except (OSError, RuntimeError, StopIteration) as error:
        raise DatasetError(f"{path} cannot be decoded as video.") from error
    finally:
        reader.close()
