"""Boxes of an AVIF (AV1 Image File Format 1.1)."""

from __future__ import annotations

from typing import Final

from foveate.image.limits import Limits
from foveate.image.structure.boxes import Box, boxes
from foveate.image.structure.parts import number, refuse_parts

MOST_BOXES: Final = 2_000
MOST_LIST_BYTES: Final = 65_536
"""Of each list of items, of their places, relations and properties: some twenty bytes an item. A
grid of 100 megapixels has 400 items; libavif compares each with each."""

_LISTS: Final = frozenset({b"iinf", b"iloc", b"iref", b"ipma"})
_CONTAINERS: Final = {b"meta": 4, b"iprp": 0, b"ipco": 0}
"""What holds boxes, and how many bytes come before them."""


def examine_avif(data: bytes, limits: Limits) -> int:
    """Refuse floods of boxes and items, and any size that is over the limits.

    The planes' memory depends on the size alone: see `image.memory`.
    """
    _examine(data, Box(b"", 0, len(data)), limits)
    return 0


def _examine(data: bytes, container: Box, limits: Limits) -> None:
    for box in boxes(data, container.start, container.end, MOST_BOXES):
        if box.kind in _LISTS and box.end - box.start > MOST_LIST_BYTES:
            raise refuse_parts("bytes in a list of its items", MOST_LIST_BYTES)
        if box.kind == b"ispe":  # version, width, height
            width, height = number(">I", data, box.start + 4), number(">I", data, box.start + 8)
            limits.check_size(max(width, 1), max(height, 1))
        if box.kind in _CONTAINERS:
            inside = box._replace(start=box.start + _CONTAINERS[box.kind])
            _examine(data, inside, limits)
