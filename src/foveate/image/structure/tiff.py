"""Entries of the first directory of a TIFF (TIFF 6.0, section 2; BigTIFF)."""

from __future__ import annotations

import struct
from typing import Final

from foveate.image.limits import Limits
from foveate.image.structure.parts import ceil_div, number, refuse_parts

MOST_ENTRIES: Final = 4_096
"""Of a directory; cameras write less than a hundred."""

MOST_STRIPS: Final = 100_000
"""Strips or tiles; also the most numbers that an entry may have which Pillow unpacks."""

_TYPE_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_TYPE_BYTES_BIG: Final = {13: 4, 16: 8, 17: 8, 18: 8}
_TEXTS: Final = frozenset({1, 2, 6, 7})
"""Types that stay bytes; the others become a list of numbers, at 36 bytes each."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _ORIENTATION, _SAMPLES = 256, 257, 258, 259, 274, 277
_ROWS, _TILE_WIDTH, _TILE_HEIGHT = 278, 322, 323
_PLAIN: Final = 1
_NUMBERS: Final = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}


def examine_tiff(data: bytes, limits: Limits) -> int:
    """Refuse floods of entries and strips; the bytes of a strip or tile, unpacked.

    libtiff unpacks a whole strip at a time, in the file's own depth, or as four bytes a pixel
    where colours are coded as YCbCr. An image that is stored turned is copied once.
    """
    tags = _numbers(data)
    width, height = tags.get(_WIDTH, 0), tags.get(_HEIGHT, 0)
    limits.check_size(max(width, 1), max(height, 1))
    turned = 4 * width * height if tags.get(_ORIENTATION, 1) != 1 else 0
    if tags.get(_COMPRESSION, _PLAIN) == _PLAIN:
        return turned
    if _TILE_WIDTH in tags:
        across, down = tags[_TILE_WIDTH], tags.get(_TILE_HEIGHT, 1)
    else:
        across, down = width, min(tags.get(_ROWS, height), height)
    depth = ceil_div(max(tags.get(_BITS, 1), 1) * max(tags.get(_SAMPLES, 1), 1), 8)
    return turned + max(depth, 4) * across * down


def _numbers(data: bytes) -> dict[int, int]:
    """The first number of each entry of the first directory.

    Raises:
        ImageRefused: more entries, or more numbers in one, than a file has.
    """
    order = "<" if data[:2] == b"II" else ">"
    is_big = 43 in (data[2], data[3]) if len(data) > 3 else False
    start, count, entry = ("Q", "Q", "HHQ8s") if is_big else ("I", "H", "HHI4s")
    at = number(order + start, data, 8 if is_big else 4)
    entries = number(order + count, data, at)
    at += struct.calcsize("<" + count)
    step = struct.calcsize("<" + entry)
    tags: dict[int, int] = {}
    if entries > MOST_ENTRIES and at + MOST_ENTRIES * step <= len(data):
        raise refuse_parts("entries in its directory", MOST_ENTRIES)
    for place in range(at, min(at + entries * step, len(data) - step + 1), step):
        tag, kind, length, value = struct.unpack_from(order + entry, data, place)
        size = length * (_TYPE_BYTES.get(kind) or _TYPE_BYTES_BIG.get(kind, 0))
        if kind not in _TEXTS and length > MOST_STRIPS and size <= len(data):
            raise refuse_parts("strips, or numbers in an entry", MOST_STRIPS)
        if kind not in _NUMBERS or not length:
            continue
        held, where = value, 0
        if size > len(value):
            held, where = data, number(order + start, value, 0)
        tags.setdefault(tag, number(order + _NUMBERS[kind], held, where))
    return tags
