"""Chunks of a PNG (W3C, Portable Network Graphics, third edition, 5)."""

from __future__ import annotations

import struct
from typing import Final

from foveate.image.limits import Limits
from foveate.image.structure.parts import refuse_parts

MOST_CHUNKS: Final = 10_000
"""Of metadata; most files have fewer than twenty. Pillow takes 16 µs for each."""

MOST_PIXEL_CHUNKS: Final = 100_000
"""Of pixels, also of the later frames of an animation. libpng writes them of 8 KiB."""

_PIXELS: Final = frozenset({b"IDAT", b"fdAT", b"fcTL"})
_COMPRESSED: Final = frozenset({b"zTXt", b"iTXt", b"iCCP"})
_TEXT_BYTES, _ALL_TEXT_BYTES = 2**20, 2**26
"""What Pillow lets a text, and all of them, become when they are unpacked."""


def examine_png(data: bytes, limits: Limits) -> int:  # noqa: ARG001 - one signature for all
    """Refuse floods of chunks; the bytes that packed metadata may take."""
    at, others, pixels, packed = 8, 0, 0, 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in _PIXELS:
            pixels += 1
            if pixels > MOST_PIXEL_CHUNKS:
                raise refuse_parts("chunks of pixels", MOST_PIXEL_CHUNKS)
        else:
            others += 1
            packed += kind in _COMPRESSED
            if others > MOST_CHUNKS:
                raise refuse_parts("chunks", MOST_CHUNKS)
        at += length + 12
    return min(packed * _TEXT_BYTES, _ALL_TEXT_BYTES)
