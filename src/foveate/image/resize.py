"""How an image of any shape becomes a square."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foveate.errors import ImageRefused, Reason, SettingsError

ResizeRule = Literal["crop", "squash"]

Box = tuple[float, float, float, float]
"""Left, upper, right, lower, in pixels; fractions allowed."""

_CROP_SHARE = 224 / 256
"""Side of the crop over the short side: resize to 256, crop 224, as networks are evaluated on
ImageNet since Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural
Networks", NeurIPS 2012."""


@dataclass(frozen=True, slots=True)
class Resize:
    """How an image of any shape becomes a square of `resolution` × `resolution`.

    Attributes:
        resolution: side of the square, in pixels.
        rule: `crop` takes the centre square whose side is 7/8 of the short side; an image
            whose short side is below the resolution is used to its edge, having no detail to
            spare. `squash` takes the whole image and gives up its aspect ratio.
        to_edge: the crop is the whole centre square: what smaller views can be cut from.

    Raises:
        SettingsError: the resolution is below 1, or the rule is neither of the two.
    """

    resolution: int
    rule: ResizeRule = "crop"
    to_edge: bool = False

    def __post_init__(self) -> None:
        if self.resolution < 1:
            raise SettingsError(f"The resolution is {self.resolution}; it must be at least 1.")
        if self.rule not in get_args(ResizeRule):
            raise SettingsError(f"The resize rule is ‘{self.rule}’; use ‘crop’ or ‘squash’.")

    def box(self, width: int, height: int) -> Box:
        """The part of a `width` × `height` image that becomes the square."""
        if self.rule == "squash":
            return (0, 0, width, height)
        short = min(width, height)
        has_to_spare = short >= self.resolution and not self.to_edge
        side = short * _CROP_SHARE if has_to_spare else short
        left, upper = (width - side) / 2, (height - side) / 2
        return (left, upper, left + side, upper + side)


def scaled_box(box: Box, scale: float) -> Box:
    """`box` in an image that was decoded at `scale` of its size."""
    left, upper, right, lower = box
    return (left * scale, upper * scale, right * scale, lower * scale)


def resample(image: Image.Image, box: Box, resolution: int) -> Image.Image:
    """The part `box` of an image as a square of `resolution` × `resolution`.

    Pillow widens its filters when shrinking, so nothing aliases. Hamming keeps nearly the
    sharpness of bicubic with half its support; enlarging wants the smoother bicubic.
    """
    left, upper, right, lower = box
    shrinks = min(right - left, lower - upper) >= resolution
    resampling = Image.Resampling.HAMMING if shrinks else Image.Resampling.BICUBIC
    return image.resize((resolution, resolution), resampling, box=box)


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
