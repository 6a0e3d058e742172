"""Bytes to pixels: what is an image, what is refused and why, and how it becomes a square.

    image = open_image(data)              # header only: format, size, limits
    image.pixels(Resize(224))             # (224, 224, 3) uint8 RGB
    image.dhash()                         # 32 bytes, close for near duplicates

Every refusal is a `foveate.errors.ImageRefused` with a typed reason, whatever the bytes.
"""

from foveate.image.decode import DECODER, OpenedImage, open_image
from foveate.image.limits import DEFAULT_LIMITS, Limits
from foveate.image.resize import Resize, ResizeRule, resize_pixels

__all__ = [
    "DECODER",
    "DEFAULT_LIMITS",
    "Limits",
    "OpenedImage",
    "Resize",
    "ResizeRule",
    "open_image",
    "resize_pixels",
]
