"""Formats that are a header and pixels: BMP, Netpbm and QOI."""

from __future__ import annotations

from typing import Final

from foveate.image.limits import Limits
from foveate.image.structure.parts import number

_RUN_LENGTHS: Final = (1, 2)


def examine_netpbm(data: bytes, limits: Limits) -> int:  # noqa: ARG001 - one signature for all
    """Plain texts become a list of numbers first; see `image.netpbm` for long headers."""
    return 16 * len(data) if data[1:2] in b"123" else 0


def examine_bmp(data: bytes, limits: Limits) -> int:
    """Refuse run lengths of more pixels than Python unpacks soon; the bytes of its copies."""
    if number("<I", data, 30) not in _RUN_LENGTHS or number("<I", data, 14) < 40:
        return 0
    width, height = number("<I", data, 18), number("<I", data, 22)
    pixels = width * min(height, 2**32 - height)  # negative where rows run downwards
    limits.check_slow_pixels(pixels)
    return 3 * pixels


def examine_qoi(data: bytes, limits: Limits) -> int:  # noqa: ARG001 - one signature for all
    """The bytes of the copies that Python makes of the pixels."""
    return 9 * number(">I", data, 4) * number(">I", data, 8)
