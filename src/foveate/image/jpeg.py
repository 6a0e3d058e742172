"""Decode a JPEG at a fraction of its size, without ever computing the pixels in between.

Eight coefficients of a JPEG block are eight frequencies; leaving out the high ones gives the
image at 4/8, 2/8 or 1/8 of its size for a fraction of the work. libjpeg-turbo offers the other
eighths too, but they have no fast code: 3/8 took 1.13 ms where 4/8 took 0.88 ms.
"""

from __future__ import annotations

import re
from typing import Literal

import simplejpeg
from PIL import Image

from foveate.errors import ImageRefused, Reason

Eighths = Literal[1, 2, 4, 8]

# libjpeg warns where it had to guess pixels; these four warnings are not about pixels.
_HARMLESS = re.compile(r"extraneous bytes|JFIF revision|Adobe color transform|ICC marker")


def covering_scale(width: int, height: int, resolution: int) -> Eighths:
    """The smallest scale, in eighths, whose short side still covers `resolution`."""
    short = min(width, height)
    scales: tuple[Eighths, ...] = (1, 2, 4)
    for eighths in scales:
        if _scaled(short, eighths) >= resolution:
            return eighths
    return 8


def decode_scaled(data: bytes, width: int, height: int, eighths: Eighths) -> Image.Image | None:
    """Decode a grey or three-channel JPEG of `width` × `height` at `eighths`/8 of its size.

    Returns:
        An image of mode RGBX that shares the decoder's memory, ceil(side × eighths / 8) pixels
        each way; or None where libjpeg-turbo's simple interface does not read this variety.

    Raises:
        ImageRefused: truncated; or unreadable, where pixels are damaged.
    """
    size = (_scaled(width, eighths), _scaled(height, eighths))
    # The decoder takes the smallest scale that reaches a minimum; without one, full size.
    at_least = {} if eighths == 8 else {"min_width": size[0], "min_height": size[1]}
    try:
        # RGBA because Pillow's own pixels have four bytes: no copy, and faster to resize.
        pixels = simplejpeg.decode_jpeg(data, "RGBA", min_factor=1, **at_least)
    except ValueError as error:
        _refuse_if_damaged(str(error))
        return None
    if pixels.shape[1::-1] != size:
        raise ImageRefused(
            Reason.UNREADABLE, "The JPEG is damaged (two headers disagree); fetch it again."
        )
    return Image.frombuffer("RGBX", size, pixels, "raw", "RGBX", 0, 1)


def _scaled(side: int, eighths: Eighths) -> int:
    return -(-side * eighths // 8)


def _refuse_if_damaged(said: str) -> None:
    if said.startswith("Premature end of JPEG"):
        raise ImageRefused(
            Reason.TRUNCATED, "The JPEG ends before all of its pixels; fetch it again."
        )
    if said.startswith(("Corrupt JPEG data", "Inconsistent progression")) and not _HARMLESS.search(
        said
    ):
        raise ImageRefused(Reason.UNREADABLE, f"The JPEG is damaged ({said}); fetch it again.")
