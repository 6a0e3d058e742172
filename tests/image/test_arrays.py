"""Images that are arrays already."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.errors import ImageRefused, Reason
from foveate.image import Resize, resize_pixels


def test_crop_takes_the_centre() -> None:
    pixels = np.zeros((256, 512, 3), np.uint8)
    pixels[:, 128:384] = 200
    assert (resize_pixels(pixels, Resize(224)) == 200).all()
    assert resize_pixels(pixels, Resize(224, "squash")).min() == 0


def test_a_square_of_the_right_size_keeps_its_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize_pixels(pixels, Resize(64, "squash")), pixels)


def test_any_memory_layout() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (90, 80, 3), dtype=np.uint8)
    flipped = pixels[::-1, :, ::-1]
    np.testing.assert_array_equal(
        resize_pixels(flipped, Resize(64)), resize_pixels(flipped.copy(), Resize(64))
    )


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((5, 5, 3), np.float32),
    ],
)
def test_anything_else_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ImageRefused) as refused:
        resize_pixels(pixels, Resize(64))
    assert refused.value.reason is Reason.UNSUPPORTED
