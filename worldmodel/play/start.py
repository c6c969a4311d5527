"""Where a driver's dream begins: a seed of the simulator, a recorded start of the checkpoint, or one's own picture."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from worldmodel.errors import WorldModelError
from worldmodel.model.world_model import WorldModel

MOST_PIXELS = 4096 * 4096


@dataclass(frozen=True)
class Known:
    """Known frames uint8 [n,H,W,C] and the encoded actions between them, float32 [n-1,D]."""

    frames: np.ndarray
    actions: np.ndarray


def recorded(model: WorldModel, index: int) -> Known:
    """The checkpoint's start number `index`."""
    count = len(model.contexts)
    if not 0 <= index < count:
        raise WorldModelError(f"There is no recorded start {index}: the world has 0 to {count - 1}.")
    return Known(model.contexts.frames[index].numpy(), model.contexts.actions[index].numpy())


def pictured(model: WorldModel, data: bytes) -> Known:
    """The picture in a file (PNG, JPEG, GIF, WebP, ...), cut to the shape of the world's frames and scaled to it.

    Raises WorldModelError where it is none, or larger than MOST_PIXELS.
    """
    height, width, channels = model.world.frame_shape
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(data))
            if opened.width * opened.height > MOST_PIXELS:
                raise WorldModelError(
                    f"The picture has {opened.width}x{opened.height} pixels: give one of at most 4096x4096."
                )
            image = ImageOps.exif_transpose(opened).convert("RGB")  # a phone held upright says so there
            cut = ImageOps.fit(image, (width, height), Image.Resampling.BOX)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError,
            Image.DecompressionBombWarning) as error:  # fmt: skip
        raise WorldModelError("The file is no picture that can be read: give a PNG or JPEG.") from error
    frame = np.array(cut)
    frame = frame if channels == 3 else frame.mean(-1, keepdims=True).round().astype(np.uint8)
    return Known(frame[None], np.zeros((0, model.world.codec.size), np.float32))
