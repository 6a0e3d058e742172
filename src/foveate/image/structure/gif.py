"""Blocks before the first frame of a GIF (GIF89a specification, 12 to 26)."""

from __future__ import annotations

from typing import Final

from foveate.image.limits import Limits
from foveate.image.structure.parts import refuse_parts

MOST_BLOCKS: Final = 20_000
"""Of at most 255 bytes each, so that a colour profile and XMP of 5 MB pass. Later frames do not
count: only the first is read."""

_FRAME, _EXTENSION, _END = b",!;"


def examine_gif(data: bytes, limits: Limits) -> int:  # noqa: ARG001 - one signature for all
    """Refuse floods of blocks before the first frame; its decoder needs next to no memory."""
    flags = data[10] if len(data) > 10 else 0
    at = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    for _ in range(MOST_BLOCKS):
        if at >= len(data) or data[at] in (_FRAME, _END):
            return 0
        if data[at] != _EXTENSION:
            at += 1  # belongs to nothing; Pillow skips it
            continue
        at = _skip_extension(data, at + 2)
    raise refuse_parts("blocks before its first frame", MOST_BLOCKS)


def _skip_extension(data: bytes, at: int) -> int:
    """The place behind the sub-blocks that start at `at`."""
    for _ in range(MOST_BLOCKS):
        if at >= len(data):
            return at
        if data[at] == 0:
            return at + 1
        at += 1 + data[at]
    raise refuse_parts("blocks before its first frame", MOST_BLOCKS)
