"""Panels are enlarged whole pixels, and videos play in browsers."""

import io
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from worldmodel.report.panels import difference, dimmed, grid
from worldmodel.report.video import encode_mp4, encode_png


def clip(seed: int, frames: int = 5, size: int = 8) -> np.ndarray:
    """Flat coloured quarters that change with time: video compression keeps them."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (frames, 2, 2, 3), dtype=np.uint8)
    return small.repeat(size // 2, axis=1).repeat(size // 2, axis=2)


def test_a_panel_holds_every_pixel_enlarged_by_a_whole_number() -> None:
    video = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    canvas = grid([[video]], ["real"], [], panel=64)
    enlarged = video.repeat(8, axis=1).repeat(8, axis=2)
    height, width = canvas.shape[1:3]
    found = [
        (y, x)
        for y in range(height - 63)
        for x in range(width - 63)
        if np.array_equal(canvas[:, y : y + 64, x : x + 64], enlarged)
    ]
    assert len(found) == 1


@pytest.mark.parametrize(("size", "panel"), [(7, 30), (32, 256), (64, 100), (300, 256)])
def test_sizes_are_even_whatever_goes_in(size: int, panel: int) -> None:
    canvas = grid([[np.zeros((1, size, size, 3), np.uint8)] * 3], ["a", "b", "c"], ["row"], ["+1"], panel)
    assert canvas.shape[1] % 2 == 0 and canvas.shape[2] % 2 == 0 and canvas.dtype == np.uint8


def test_gray_frames_become_colour() -> None:
    canvas = grid([[np.full((1, 8, 8, 1), 200, np.uint8)]], ["gray"], [], panel=8)
    assert (canvas[0, -10, 8] == 200).all()


def test_difference_is_black_where_frames_agree_and_counts_both_directions() -> None:
    low, high = np.full((1, 2, 2, 3), 10, np.uint8), np.full((1, 2, 2, 3), 40, np.uint8)
    assert difference(low, low).max() == 0
    assert (difference(low, high) == 60).all() and (difference(high, low) == 60).all()
    assert (difference(np.zeros_like(low), np.full_like(low, 255)) == 255).all()


def test_dimmed_frames_are_those_after_the_end() -> None:
    frames = np.full((1, 3, 2, 2, 3), 90, np.uint8)
    assert dimmed(frames, np.array([[False, False, True]]))[0, :, 0, 0, 0].tolist() == [90, 90, 30]


def test_the_video_is_what_browsers_play_and_shows_the_frames(tmp_path: Path) -> None:
    frames = grid([[clip(0, size=16), clip(1, size=16)]], ["a", "b"], [], panel=64)
    content = encode_mp4(frames, fps=10.0)
    assert content is not None and content.index(b"moov") < content.index(b"mdat"), "plays while it loads"
    (tmp_path / "video.mp4").write_bytes(content)
    reader = imageio_ffmpeg.read_frames(str(tmp_path / "video.mp4"))
    about = next(reader)
    assert (about["codec"], about["size"], about["fps"]) == ("h264", frames.shape[2:0:-1], 10.0)
    assert "yuv420p" in about["pix_fmt"]
    shown = [np.frombuffer(frame, np.uint8).reshape(frames.shape[1:]) for frame in reader]
    assert len(shown) == len(frames) + 6, "the last frame stays for 0.6 seconds"
    error = np.abs(np.stack(shown[:5]).astype(int) - frames).mean()
    assert error < 6


def test_slow_worlds_are_shown_at_a_watchable_rate(tmp_path: Path) -> None:
    content = encode_mp4(np.zeros((3, 16, 16, 3), np.uint8), fps=500.0)
    assert content is not None
    (tmp_path / "video.mp4").write_bytes(content)
    assert next(imageio_ffmpeg.read_frames(str(tmp_path / "video.mp4")))["fps"] == 30.0


def test_without_ffmpeg_there_is_no_video(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", missing)
    assert encode_mp4(np.zeros((3, 16, 16, 3), np.uint8), fps=10.0) is None


def test_png_is_lossless() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8)
    assert np.array_equal(np.array(Image.open(io.BytesIO(encode_png(frame)))), frame)
