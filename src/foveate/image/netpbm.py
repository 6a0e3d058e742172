"""Binary Netpbm images of any brightest value, as quick as those of 255."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from foveate.errors import ImageRefused, Reason

MOST_HEADER_BYTES = 16_384
"""Of a header with its comments, which Pillow reads byte by byte."""

_ROWS_PIXELS = 2**20


def open_netpbm(decoder: Callable[..., ImageFile.ImageFile], data: bytes) -> ImageFile.ImageFile:
    """Read the header with Pillow's `decoder`, which sees no more of the file than it may take.

    Raises:
        ImageRefused: it is longer, or so damaged that it seems to be.
    """
    try:
        return decoder(BytesIO(data[:MOST_HEADER_BYTES]), "")
    except (SyntaxError, ValueError):
        if len(data) <= MOST_HEADER_BYTES:
            raise
        raise ImageRefused(
            Reason.UNREADABLE,
            f"The PPM has no header in its first {MOST_HEADER_BYTES:,} bytes; save it as PNG.",
        ) from None


def decode_scaled_values(image: ImageFile.ImageFile, data: bytes) -> Image.Image | None:
    """The pixels of a P5 or P6 file whose values are not stored as they are shown.

    Pillow scales value by value in Python, in a second a megabyte. The numbers are the same:
    round(value / brightest × 255), or 65535 for grey of more than 255 values.

    Args:
        image: opened by Pillow, not loaded.
        data: of the whole file.

    Returns:
        The image in Pillow's mode for it; None for other files, which Pillow reads quickly.

    Raises:
        ImageRefused: truncated.
    """
    if not image.tile or image.tile[0].codec_name != "ppm":
        return None
    tile = image.tile[0]
    brightest = int(tile.args[1]) if isinstance(tile.args, tuple) else 255
    bands = len(image.getbands())
    width, height = image.size
    stored = np.dtype(np.uint8 if brightest < 256 else ">u2")
    if tile.offset + width * height * bands * stored.itemsize > len(data):
        raise ImageRefused(
            Reason.TRUNCATED, "The PPM ends before all of its pixels; fetch it again."
        )
    values = np.frombuffer(data, stored, width * height * bands, tile.offset)
    shape = (height, width) if bands == 1 else (height, width, bands)
    deep = image.mode == "I"
    table = _table(brightest, 65535 if deep else 255, np.int32 if deep else np.uint8)
    step = max(1, _ROWS_PIXELS // width)
    decoded = Image.new(image.mode, image.size)
    for top in range(0, height, step):
        rows = table[values.reshape(shape)[top : top + step]]
        decoded.paste(Image.fromarray(rows), (0, top))
    return decoded


def _table(brightest: int, white: int, kind: Any) -> np.ndarray[Any, Any]:
    """What each stored value becomes; those above the brightest are as bright as it."""
    every = np.arange(256 if brightest < 256 else 65536) / brightest * white
    return np.minimum(np.rint(every), white).astype(kind)
