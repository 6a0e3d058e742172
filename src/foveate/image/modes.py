"""Every pixel type that a file can hold, as 8-bit RGB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262  # TIFF tags
_WHITE_IS_ZERO = 0

_STRIP_PIXELS = 2**18
"""Worked on at once where copies are needed in between, as there may be 100 million pixels."""


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
        return _by_strips(image, _to_8_bit(image))
    if mode == "LAB":
        return _lab_to_rgb(image)
    if image.has_transparency_data:
        return _by_strips(image, _on_white)
    return image if mode == "RGB" else image.convert("RGB")


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The image in strips of full width, and where each begins."""
    width, height = image.size
    step = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, step):
        yield top, image.crop((0, top, width, min(top + step, height)))


def _by_strips(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    page = Image.new("RGB", image.size)
    for top, strip in _strips(image):
        page.paste(convert(strip), (0, top))
    return page


def _on_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
    page = Image.new("RGB", image.size, "white")
    page.paste(rgba, mask=rgba.getchannel("A"))
    return page


def _to_8_bit(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """What makes grey levels of 8 bits of the strips of a mode I, I;16 or F image."""
    tags: dict[int, Any] = getattr(image, "tag_v2", {})
    exact = np.float32 if image.mode.startswith("I;16") else np.float64
    low, high = _range(image)
    white = 1 if image.mode == "F" else 4095 if tags.get(_BITS_PER_SAMPLE) == (12,) else 65535
    stretched = low < 0 or high > white
    inverted = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO

    def convert(strip: Image.Image) -> Image.Image:
        levels: NDArray[np.floating[Any]] = np.array(strip, dtype=exact)
        if strip.mode == "F":
            levels[~np.isfinite(levels)] = low
        if stretched:
            levels -= exact(low)
            levels /= exact(exact(high) - exact(low)) or 1
        else:
            levels /= white
        levels *= 255
        grey: NDArray[np.uint8] = np.rint(levels, out=levels).astype(np.uint8)
        return Image.fromarray(255 - grey if inverted else grey)

    return convert


def _range(image: Image.Image) -> tuple[float, float]:
    """The darkest and brightest finite level; zero where there is none."""
    lows: list[float] = []
    highs: list[float] = []
    for _, strip in _strips(image):
        levels = np.asarray(strip)
        finite = levels[np.isfinite(levels)] if strip.mode == "F" else levels
        if finite.size:
            lows.append(float(finite.min()))
            highs.append(float(finite.max()))
    return min(lows, default=0.0), max(highs, default=0.0)


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    from PIL import ImageCms  # needs LittleCMS, for this rare mode alone

    lab_to_srgb = ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )
    converted = ImageCms.applyTransform(image, lab_to_srgb)
    return image if converted is None else converted
