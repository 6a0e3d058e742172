"""Every pixel type that a file can hold, as 8-bit RGB."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262  # TIFF tags
_WHITE_IS_ZERO = 0


def to_rgb(image: Image.Image) -> Image.Image:
    """A decoded image as mode RGB.

    Transparent pixels are laid on white, the page that cut-out objects are shown on; the
    colour stored beneath full transparency is arbitrary, often black. CMYK and LAB are
    converted without the file's colour profile.

    Single-channel images deeper than 8 bits are scaled by the range of their type, never by
    their own darkest and brightest pixel, so that two of them stay comparable: 12 and 16 bit
    as 0…4095 and 0…65535, float as 0…1. Only where the values leave that range is there no
    white to refer to (elevations, counts), and they are stretched from minimum to maximum;
    what is not a finite number is as dark as the darkest.
    """
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        return Image.fromarray(_to_8_bit(image)).convert("RGB")
    if mode == "LAB":
        return _lab_to_rgb(image)
    if image.has_transparency_data:
        rgba = image.convert("LA").convert("RGBA") if mode == "La" else image.convert("RGBA")
        page = Image.new("RGB", image.size, "white")
        page.paste(rgba, mask=rgba.getchannel("A"))
        return page
    return image if mode == "RGB" else image.convert("RGB")


def _to_8_bit(image: Image.Image) -> NDArray[np.uint8]:
    """Grey levels (height, width) of a mode I, I;16 or F image."""
    tags: dict[int, Any] = getattr(image, "tag_v2", {})
    exact = np.float32 if image.mode.startswith("I;16") else np.float64
    # Worked on in place, as there may be 100 million pixels.
    levels: NDArray[np.floating[Any]] = np.array(image, dtype=exact)
    if image.mode == "F":
        finite = np.isfinite(levels)
        levels[~finite] = levels[finite].min() if finite.any() else 0
        white = 1
    else:
        white = 4095 if tags.get(_BITS_PER_SAMPLE) == (12,) else 65535
    low, high = levels.min(), levels.max()
    if low < 0 or high > white:
        levels -= low
        levels /= high - low or 1
    else:
        levels /= white
    levels *= 255
    grey: NDArray[np.uint8] = np.rint(levels, out=levels).astype(np.uint8)
    return 255 - grey if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else grey


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    from PIL import ImageCms  # needs LittleCMS, for this rare mode alone

    lab_to_srgb = ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )
    converted = ImageCms.applyTransform(image, lab_to_srgb)
    return image if converted is None else converted
