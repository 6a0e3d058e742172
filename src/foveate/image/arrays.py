"""Images that are arrays already."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foveate.errors import ImageRefused, Reason
from foveate.image.resize import Resize, resample


def resize_pixels(pixels: NDArray[np.uint8], resize: Resize) -> NDArray[np.uint8]:
    """Decoded pixels as a square, by the same rule as files.

    Args:
        pixels: (H, W, 3) uint8, RGB, upright.
        resize: rule and resolution.

    Returns:
        (resolution, resolution, 3) uint8, RGB.

    Raises:
        ImageRefused: the array has another shape or type, or no pixels.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ImageRefused(
            Reason.UNSUPPORTED,
            f"an array {pixels.shape} of {pixels.dtype}; it must be (H, W, 3) of uint8, RGB",
        )
    height, width = pixels.shape[:2]
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.array(resample(image, resize.box(width, height), resize.resolution))
