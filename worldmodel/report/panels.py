"""Frames laid out side by side with labels: what the videos and picture strips show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from worldmodel.frames import as_colours

PANEL = 256  # pixels a panel is enlarged to, about
_BACKGROUND, _TEXT = (23, 25, 29), (225, 228, 232)
_GAP = 6
DIFFERENCE_GAIN = 2


def difference(real: np.ndarray, dream: np.ndarray) -> np.ndarray:
    """|real - dream| times DIFFERENCE_GAIN, as uint8 frames: black where they agree."""
    gap = np.abs(real.astype(np.int16) - dream.astype(np.int16)) * DIFFERENCE_GAIN
    return gap.clip(0, 255).astype(np.uint8)


def dimmed(frames: np.ndarray, over: np.ndarray) -> np.ndarray:
    """uint8 frames [...,H,W,C], darker where over [...] is True: what is shown after an episode's end."""
    return np.where(over[..., None, None, None], frames // 3, frames)


def grid(
    videos: Sequence[Sequence[np.ndarray]],
    columns: Sequence[str],
    rows: Sequence[str],
    ticks: Sequence[str] = (),
    panel: int = PANEL,
) -> np.ndarray:
    """Lay out videos[row][column], each uint8 [T,H,W,C], as uint8 [T,H',W',3] with even H' and W'.

    columns: labels on top; rows: labels at the left, or none; ticks: text for each of the T frames, in the top corner.
    Pixels are repeated a whole number of times, never blurred.
    """
    height, width = videos[0][0].shape[1:3]
    scale = max(1, round(panel / max(height, width)))
    font = _font(max(11, min(26, panel // 7)))  # still readable where a phone shrinks the picture
    top = round(font.size * 1.9)
    left = _text_width(font, [*rows, *ticks]) + 3 * _GAP if rows or ticks else _GAP
    tall, wide = height * scale + _GAP, width * scale + _GAP
    size = (_even(left + wide * len(columns)), _even(top + tall * len(videos)))
    labels = [((left + c * wide, top / 2), text) for c, text in enumerate(columns)]
    labels += [((_GAP, top + (r + 0.5) * tall), text) for r, text in enumerate(rows)]
    frames = []
    for t in range(len(videos[0][0])):
        here = [((_GAP, top / 2), ticks[t])] if ticks else []
        canvas = _labelled(size, font, labels + here)
        for r, row in enumerate(videos):
            for c, video in enumerate(row):
                y, x = top + r * tall, left + c * wide
                canvas[y : y + height * scale, x : x + width * scale] = _enlarged(video[t], scale)
        frames.append(canvas)
    return np.stack(frames)


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size=size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow's wheels bring FreeType"
    return font


def _labelled(
    size: tuple[int, int], font: ImageFont.FreeTypeFont, labels: Sequence[tuple[tuple[float, float], str]]
) -> np.ndarray:
    image = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(image)
    for place, text in labels:
        draw.text(place, text, fill=_TEXT, font=font, anchor="lm")
    return np.array(image)


def _enlarged(frame: np.ndarray, scale: int) -> np.ndarray:
    return as_colours(frame).repeat(scale, axis=0).repeat(scale, axis=1)


def _text_width(font: ImageFont.FreeTypeFont, texts: Sequence[str]) -> int:
    return round(max((font.getlength(text) for text in texts), default=0.0))


def _even(number: int) -> int:
    return number + number % 2
