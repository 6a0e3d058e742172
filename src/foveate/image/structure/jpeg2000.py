"""Tiles, blocks and packets of a JPEG 2000 (ITU-T T.800, annexes A and B)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from foveate.image.limits import Limits
from foveate.image.structure.boxes import boxes
from foveate.image.structure.parts import ceil_div, number, refuse_parts

MOST_MARKERS: Final = 100_000
"""Segments of all headers together; a tile has two."""

MOST_BOXES: Final = 1_000
"""Before the coded image in a JP2; there are five."""

MOST_COLOURS: Final = 1_024
"""Of a palette (I.5.3.4)."""

MOST_PRECINCTS: Final = 1_000_000
"""In a tile, each band counted. OpenJPEG takes 3 µs and 600 bytes for each, coded or not; encoders
make them of 128 × 128 coefficients and more."""

MOST_PACKETS: Final = 2_000_000
"""That the bytes may hold: layers × resolutions × components × precincts."""

_PRECINCT_BYTES, _BLOCK_BYTES, _TILE_BYTES, _TILE_COMPONENT_BYTES = 600, 350, 6_000, 1_200
"""What OpenJPEG 2.5 allocates for each, measured."""

_CODESTREAM: Final = b"\xff\x4f\xff\x51"
_SIZ, _COD, _COC, _SOT, _SOD, _EOC = 0x51, 0x52, 0x53, 0x90, 0x93, 0xD9


@dataclass(frozen=True, slots=True)
class _Coding:
    """How a tile is cut (A.6.1): COD or COC.

    Attributes:
        layers: of quality.
        levels: of the wavelet; resolutions are one more.
        block: exponents of a code block's width and height.
        precincts: the same of a precinct, one a resolution.
    """

    layers: int
    levels: int
    block: tuple[int, int]
    precincts: tuple[tuple[int, int], ...]


def examine_jpeg2000(data: bytes, limits: Limits) -> int:
    """Refuse floods of boxes, markers, tiles, precincts and packets; the bytes of a tile.

    OpenJPEG keeps a tile as 32-bit coefficients, Pillow copies it once, and both keep something
    for each tile, precinct and block, whether the file holds any of it or not.
    """
    start = _codestream(data)
    if data[start : start + 4] != _CODESTREAM:
        return 0
    left, top = number(">I", data, start + 16), number(">I", data, start + 20)
    width = max(0, number(">I", data, start + 8) - left)
    height = max(0, number(">I", data, start + 12) - top)
    components = number(">H", data, start + 40)
    limits.check_size(max(width, 1), max(height, 1))
    across, down = number(">I", data, start + 24), number(">I", data, start + 28)
    if not across or not down or not components:
        return 0
    tile = min(across, width), min(down, height)
    tiles = (ceil_div(width, across) + 1) * (ceil_div(height, down) + 1)
    codings = list(_codings(data, start + 2, components))
    parts = [_parts(tile, coding) for coding in codings]
    precincts = components * max((count for count, _ in parts), default=0)
    blocks = components * max((count for _, count in parts), default=0)
    if precincts > MOST_PRECINCTS:
        raise refuse_parts("precincts", MOST_PRECINCTS)
    layers = max((coding.layers for coding in codings), default=1)
    if min(len(data), layers * precincts * tiles) > MOST_PACKETS:
        raise refuse_parts("packets", MOST_PACKETS)
    depth = max(number("B", data, start + 42 + 3 * index) & 0x7F for index in range(components)) + 1
    copied = 1 if depth <= 8 else 2 if depth <= 16 else 4
    samples = (4 + copied) * components * tile[0] * tile[1]
    described = tiles * (_TILE_BYTES + components * _TILE_COMPONENT_BYTES)
    return samples + precincts * _PRECINCT_BYTES + blocks * _BLOCK_BYTES + described


def _codestream(data: bytes) -> int:
    """Where the coded image starts."""
    if data.startswith(_CODESTREAM):
        return 0
    for box in boxes(data, 0, len(data), MOST_BOXES):
        if box.kind == b"jp2c":
            return box.start
        if box.kind == b"jp2h":
            _check_palettes(data, box.start, box.end)
    return len(data)


def _check_palettes(data: bytes, start: int, end: int) -> None:
    for box in boxes(data, start, end, MOST_BOXES):
        if box.kind == b"pclr" and number(">H", data, box.start) > MOST_COLOURS:
            raise refuse_parts("colours in its palette", MOST_COLOURS)


def _codings(data: bytes, at: int, components: int) -> Iterator[_Coding]:
    """Every coding in the main header and in those of tile-parts."""
    part = 0
    for _ in range(MOST_MARKERS):
        marker = number(">H", data, at)
        kind, length = marker & 0xFF, number(">H", data, at + 2)
        if marker >> 8 != 0xFF or kind == _EOC:
            return
        if kind == _SOT:
            part = at
        if kind == _SOD:  # pixels up to the next tile-part; the last may leave its length out
            skipped = number(">I", data, part + 6)
            if skipped <= at - part:
                return
            at = part + skipped
            continue
        if kind == _COD:
            yield _coding(
                data, at + 9, at + 2 + length, data[at + 4] & 1, number(">H", data, at + 6)
            )
        elif kind == _COC:
            wide = 1 if components < 257 else 2
            style = number("B", data, at + 4 + wide)
            yield _coding(data, at + 5 + wide, at + 2 + length, style & 1, 1)
        at += 2 + length
    raise refuse_parts("markers", MOST_MARKERS)


def _coding(data: bytes, at: int, end: int, has_precincts: int, layers: int) -> _Coding:
    levels = min(number("B", data, at), 32)
    block = (number("B", data, at + 1) & 15) + 2, (number("B", data, at + 2) & 15) + 2
    sizes = data[at + 5 : end] if has_precincts else b""
    sizes = sizes.ljust(levels + 1, b"\xff")  # 32,768 both ways: as good as none
    precincts = tuple((size & 15, size >> 4) for size in sizes[: levels + 1])
    return _Coding(layers, levels, block, precincts)


def _parts(tile: tuple[int, int], coding: _Coding) -> tuple[int, int]:
    """Precincts and code blocks of one component of a tile, in all bands (B.5 to B.7)."""
    all_precincts, all_blocks = 0, 0
    for resolution, (ppx, ppy) in enumerate(coding.precincts):
        shrink = coding.levels - resolution
        width, height = ceil_div(tile[0], 1 << shrink), ceil_div(tile[1], 1 << shrink)
        # One more each way, as the tile may begin anywhere between two of them.
        precincts = (ceil_div(width, 1 << ppx) + 1) * (ceil_div(height, 1 << ppy) + 1)
        inner = 0 if resolution == 0 else 1  # bands have half the size of their resolution
        bands = 3 if inner else 1
        xcb = min(coding.block[0], max(ppx - inner, 0))
        ycb = min(coding.block[1], max(ppy - inner, 0))
        blocks = ceil_div(width >> inner, 1 << xcb) + 1, ceil_div(height >> inner, 1 << ycb) + 1
        all_precincts += bands * precincts
        all_blocks += bands * blocks[0] * blocks[1]
    return all_precincts, all_blocks
