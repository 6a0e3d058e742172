"""How much memory decoding takes, told from the header before it begins.

Upper bounds, in bytes; measured against every format by `benchmarks/hungry.py`. Counted are the
pixels as Pillow has them, the RGB that becomes of them, and what the decoder holds meanwhile; not
the file itself, nor rows and tables of some kilobytes.
"""

from __future__ import annotations

from foveate.image.formats import Format
from foveate.image.jpeg import Eighths

_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1}
"""Of a pixel in Pillow; 2 in modes of 16 bits, and 4 in all others."""

_RGB_BYTES = 4

_DECODER_BYTES: dict[Format, int] = {"AVIF": 22}
"""A pixel, in decoders whose memory depends on the size alone. AVIF: colour and alpha in 16 bits
without subsampling, twice where film grain is laid over them, RGB made of them and its copy."""


def whole_bytes(name: Format, mode: str, size: tuple[int, int], decoder_bytes: int) -> int:
    """Bytes at the peak for an image of Pillow's `mode` and how it becomes RGB.

    Args:
        name: its format.
        mode: of the image as it is decoded.
        size: width and height.
        decoder_bytes: what its decoder needs besides, which it has given back when the pixels
            are converted.
    """
    pixels = size[0] * size[1]
    stored = _PIXEL_BYTES.get(mode, 2 if mode.startswith("I;16") else 4)
    converted = 0 if mode == "RGB" else _RGB_BYTES
    kept = _DECODER_BYTES.get(name, 0) + stored
    return max(kept * pixels + decoder_bytes, (kept + converted) * pixels)


def scaled_bytes(size: tuple[int, int], eighths: Eighths) -> int:
    """Bytes for the pixels of a JPEG that is decoded at `eighths`/8 of its size."""
    return _RGB_BYTES * size[0] * size[1] * eighths**2 // 64
