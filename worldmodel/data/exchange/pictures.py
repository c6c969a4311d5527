"""Pictures of any size as frames of one size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from worldmodel.errors import DatasetError

FITS = ("crop", "stretch")


@dataclass(frozen=True)
class PictureFit:
    """size: frames become [size, size, 3], None leaves them as they are; fit: "crop" keeps the middle square, "stretch"
    the whole picture. Shrinking averages over areas, so that nothing small flickers or vanishes."""

    size: int | None = None
    fit: str = "crop"

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise DatasetError(f"fit is {self.fit!r}, expected one of {', '.join(FITS)}.")
        if self.size is not None and self.size < 1:
            raise DatasetError(f"size is {self.size}, expected at least 1, or null.")

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """uint8 [N,H,W], [N,H,W,1] or [N,H,W,3] -> frames uint8 [N,size,size,3]; grey becomes three equal channels."""
        if (
            pictures.dtype != np.uint8
            or pictures.ndim not in (3, 4)
            or pictures.shape[3:] not in ((), (1,), (3,))
        ):
            raise DatasetError(
                f"Pictures must be uint8 [N, H, W, 3], or [N, H, W] for grey, got {pictures.dtype} {pictures.shape}."
            )
        if pictures.ndim == 3 or pictures.shape[3] == 1:
            pictures = np.repeat(pictures.reshape(*pictures.shape[:3], 1), 3, axis=3)
        if self.size is None or pictures.shape[1:3] == (self.size, self.size):
            return pictures
        return np.stack([self._resized(picture) for picture in self._square(pictures)])

    def _square(self, pictures: np.ndarray) -> np.ndarray:
        if self.fit == "stretch":
            return pictures
        height, width = pictures.shape[1:3]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return pictures[:, top : top + side, left : left + side]

    def _resized(self, picture: np.ndarray) -> np.ndarray:
        assert self.size is not None
        shrinks = picture.shape[0] * picture.shape[1] > self.size**2
        image = Image.fromarray(np.ascontiguousarray(picture))
        how = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
        return np.asarray(image.resize((self.size, self.size), how))
