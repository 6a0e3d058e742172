"""A perceptual hash: near duplicates differ in a few bits, other images in about half."""

from __future__ import annotations

import numpy as np
from PIL import Image

from foveate.image.resize import Box

_SIDE = 16


def difference_hash(image: Image.Image, box: Box, upright: Image.Transpose | None = None) -> bytes:
    """The difference hash of an image, 16 × 16 bits.

    The image becomes 17 × 16 grey means, its aspect ratio given up; each bit says whether a
    mean is brighter than its left neighbour (Krawetz, "Kind of Like That", 2013). Light and
    contrast, size and compression barely change it; mirrored or cropped images differ.

    Args:
        image: any mode that converts to grey.
        box: the part that is image (a scaled decode may end in a fraction of a pixel).
        upright: what turns the image upright, if it is not.

    Returns:
        32 bytes: 16 rows from the top of 16 bits from the left, the first the highest.
    """
    grey = image.convert("L")
    if upright is not None:
        grey = grey.transpose(upright)
        box = (0, 0, *grey.size)
    means = grey.resize((_SIDE + 1, _SIDE), Image.Resampling.BOX, box=box)
    levels = np.asarray(means)
    return np.packbits(levels[:, 1:] > levels[:, :-1]).tobytes()
