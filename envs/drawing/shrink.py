"""Making pictures smaller."""

from __future__ import annotations

import numpy as np
from PIL import Image


def shrink(picture: np.ndarray, size: int) -> np.ndarray:
    """uint8 [H,W,3] -> [size,size,3] by area average, so that every pixel keeps its share; sides may be stretched."""
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BOX))
