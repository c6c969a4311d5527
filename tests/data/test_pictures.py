"""Pictures of any size become frames of one."""

import numpy as np
import pytest

from worldmodel.data.exchange.pictures import PictureFit
from worldmodel.errors import DatasetError


def test_areas_are_averaged() -> None:
    """A checkerboard of single pixels becomes grey, not one of its colours."""
    board = np.indices((64, 64)).sum(0) % 2 * 255
    picture = np.repeat(board[None, ..., None], 3, axis=3).astype(np.uint8)
    assert set(np.unique(PictureFit(16)(picture))) <= {127, 128}


def test_crop_keeps_the_middle_and_stretch_the_whole() -> None:
    wide = np.zeros((2, 8, 16, 3), np.uint8)
    wide[:, :, 4:12] = 200
    assert (PictureFit(8, "crop")(wide) == 200).all()
    stretched = PictureFit(8, "stretch")(wide)
    assert (
        (stretched[:, :, 2:6] == 200).all()
        and not stretched[:, :, :2].any()
        and not stretched[:, :, 6:].any()
    )


def test_grey_becomes_three_equal_channels() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (2, 6, 5), np.uint8)
    for pictures in (grey, grey[..., None]):
        np.testing.assert_array_equal(PictureFit()(pictures), np.stack([grey] * 3, axis=-1))


def test_small_pictures_are_enlarged_and_right_ones_untouched() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3), np.uint8)
    assert PictureFit(12)(pictures).shape == (2, 12, 12, 3)
    assert PictureFit(6)(pictures) is pictures


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 4, 4, 4), np.uint8), np.zeros((2, 4, 4, 3)), np.zeros((4, 4), np.uint8)]
)
def test_what_is_no_picture_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(DatasetError, match="Pictures must be uint8"):
        PictureFit(4)(bad)
    with pytest.raises(DatasetError, match="fit is 'squeeze'"):
        PictureFit(4, "squeeze")
