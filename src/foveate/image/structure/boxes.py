"""Boxes of ISO base media files (ISO/IEC 14496-12, 4.2), which AVIF and JP2 are made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from foveate.image.structure.parts import number, refuse_parts


class Box(NamedTuple):
    """A box: its kind, and where its content starts and ends."""

    kind: bytes
    start: int
    end: int


def boxes(data: bytes, start: int, end: int, most: int) -> Iterator[Box]:
    """The boxes between two places, as far as they are whole.

    Raises:
        ImageRefused: more than `most`.
    """
    at = start
    for _ in range(most):
        if at + 8 > end:
            return
        size, content = number(">I", data, at), at + 8
        if size == 1:
            size, content = number(">Q", data, at + 8), at + 16
        stop = at + size if size else end
        if stop < content:
            return  # damaged
        yield Box(data[at + 4 : at + 8], content, min(stop, end))
        at = stop
    raise refuse_parts("boxes", most)
