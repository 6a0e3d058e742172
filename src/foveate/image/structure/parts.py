"""The refusal that all walks share, and numbers in bytes."""

from __future__ import annotations

import struct

from foveate.errors import ImageRefused, Reason


def refuse_parts(what: str, most: int) -> ImageRefused:
    """The refusal of a file with more than `most` of `what`."""
    return ImageRefused(
        Reason.TOO_LARGE,
        f"It has more than {most:,} {what}, which take long to read; save it again as JPEG or PNG.",
    )


def number(layout: str, data: bytes, at: int) -> int:
    """The unsigned number at a place, 0 where the data ends before it."""
    if at < 0 or at + struct.calcsize(layout) > len(data):
        return 0
    value: int = struct.unpack_from(layout, data, at)[0]
    return value


def ceil_div(a: int, b: int) -> int:
    """The quotient of two numbers, rounded up."""
    return -(-a // b)
