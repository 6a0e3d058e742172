"""Chunks of a WebP (RFC 9649), whose decoder keeps several canvases."""

from __future__ import annotations

from typing import Final

from foveate.image.limits import Limits
from foveate.image.structure.parts import number, refuse_parts

MOST_CHUNKS: Final = 20_000
"""A frame of an animation is one."""

_CANVASES_BYTES: Final = 18
"""A pixel: the frame, the one before, what is decoded and its copy, four bytes each, and a
little. The rest is Pillow's own image."""


def examine_webp(data: bytes, limits: Limits) -> int:
    """Refuse floods of chunks, and canvases that are too large before they are made."""
    at = 12
    for _ in range(MOST_CHUNKS):
        if at + 8 > len(data):
            break
        length = number("<I", data, at + 4)
        at += 8 + length + (length & 1)
    else:
        raise refuse_parts("chunks", MOST_CHUNKS)
    width, height = _canvas(data)
    if not width or not height:
        return 0
    limits.check_size(width, height)
    needed = _CANVASES_BYTES * width * height
    limits.check_memory(needed)  # now, as reading the header makes two of them
    return needed


def _canvas(data: bytes) -> tuple[int, int]:
    match data[12:16]:
        case b"VP8X":
            return number("<I", data, 24) % 2**24 + 1, number("<I", data, 26) // 2**8 + 1
        case b"VP8L":
            bits = number("<I", data, 21)
            return bits % 2**14 + 1, (bits >> 14) % 2**14 + 1
        case b"VP8 ":
            return number("<H", data, 26) % 2**14, number("<H", data, 28) % 2**14
        case _:
            return 0, 0
