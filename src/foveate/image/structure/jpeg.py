"""Segments of a JPEG (ITU-T T.81, annex B), and the passes over its pixels."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

from foveate.image.limits import Limits
from foveate.image.structure.parts import ceil_div, number, refuse_parts

MOST_SEGMENTS: Final = 2_000
"""Before the first scan. A colour profile has at most 255, extended XMP (a depth map, say) some
hundreds."""

MOST_PARSED: Final = 50
"""Of one kind that Pillow takes apart: frame headers (a whole file has one), EXIF, Photoshop's
resources, quantisation tables. A segment of 64 KiB takes it some 10 ms."""

MOST_PADDING: Final = 65_536
"""Bytes between segments that belong to none, which Pillow reads one by one."""

_EOI, _SOS, _DQT, _APP1, _APP13 = 0xD9, 0xDA, 0xDB, 0xE1, 0xED
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length: TEM, RST, SOI."""

_START_OF_SCAN: Final = b"\xff\xda"
_MARKER: Final = re.compile(rb"\xff[\x01-\xfe]")
_AFTER_SCAN: Final = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")
"""What ends coded pixels: a marker that is neither a stuffed zero nor a restart."""


@dataclass(slots=True)
class _Header:
    """What comes before the first scan.

    Attributes:
        pixels: width × height of the largest frame.
        coefficients: bytes that all of its coefficients take.
        components: of the last frame.
        progressive: whether any frame is.
        scan: where the first scan starts; None where there is none.
        scan_components: how many components are in it.
    """

    pixels: int = 0
    coefficients: int = 0
    components: int = 0
    progressive: bool = False
    scan: int | None = None
    scan_components: int = 0

    @property
    def in_passes(self) -> bool:
        """Whether it takes several passes, which keep the coefficients in between."""
        return self.progressive or self.scan_components < self.components


def examine_jpeg(data: bytes, limits: Limits) -> int:
    """Refuse floods of segments and scans; the bytes that the coefficients take.

    A decoder keeps the coefficients of a whole image, two bytes each, where it comes in several
    passes (T.81, annex G): progressive images, and colours one after the other.
    """
    header = _read_header(data)
    if header.scan is None:
        return 0
    scans = data.count(_START_OF_SCAN)  # also those of thumbnails, and of a video behind it
    if scans > limits.most_scans(header.pixels):
        limits.check_scans(_count_scans(data, header.scan), header.pixels)
    return header.coefficients if header.in_passes else 0


def _read_header(data: bytes) -> _Header:
    header, at, padding = _Header(), 2, 0
    parsed: Counter[str] = Counter()
    for _ in range(MOST_SEGMENTS):
        match = _MARKER.search(data, at)
        padding += (match.start() if match else len(data)) - at
        if padding > MOST_PADDING:
            raise refuse_parts("bytes between its segments", MOST_PADDING)
        if match is None:
            return header
        marker, at = data[match.start() + 1], match.end()
        if marker == _SOS:
            header.scan, header.scan_components = match.start(), number("B", data, at + 2)
            return header
        if marker in _ALONE or marker == _EOI:
            continue
        kind = _parsed_kind(marker, data[at + 2 : at + 6])
        parsed[kind] += 1
        if kind != "" and parsed[kind] > MOST_PARSED:
            raise refuse_parts(kind, MOST_PARSED)
        if marker in _FRAMES:
            _read_frame(header, marker, data, at)
        at += number(">H", data, at)
    raise refuse_parts("segments before its pixels", MOST_SEGMENTS)


def _parsed_kind(marker: int, start: bytes) -> str:
    """What Pillow takes apart in Python, with many steps a segment; empty for the rest."""
    if marker in _FRAMES:
        return "frame headers"
    if marker == _APP1 and start == b"Exif":
        return "blocks of EXIF"
    return {_DQT: "quantisation tables", _APP13: "blocks of metadata"}.get(marker, "")


def _read_frame(header: _Header, marker: int, data: bytes, at: int) -> None:
    """Take over a frame header (T.81, B.2.2)."""
    height, width = number(">H", data, at + 3), number(">H", data, at + 5)
    count = number("B", data, at + 7)
    factors = [number("B", data, at + 9 + 3 * index) for index in range(count)]
    across = max((factor >> 4 for factor in factors), default=1) or 1
    down = max((factor & 15 for factor in factors), default=1) or 1
    columns, rows = ceil_div(width, 8 * across), ceil_div(height, 8 * down)
    blocks = columns * rows * sum((factor >> 4) * (factor & 15) for factor in factors)
    header.pixels = max(header.pixels, width * height)
    header.coefficients = max(header.coefficients, 128 * blocks)
    header.components = count
    header.progressive |= marker in _PROGRESSIVE


def _count_scans(data: bytes, at: int) -> int:
    """Scans from the first one to the end of the image, and not of what may follow it.

    Where there is no end to the markers between them, as many as there are markers.
    """
    scans, markers = 0, 0
    while markers < MOST_SEGMENTS:
        match = _AFTER_SCAN.search(data, at)
        if match is None:
            return scans
        marker, at = data[match.start() + 1], match.end()
        if marker == _EOI:
            return scans
        scans += marker == _SOS
        markers += 1
        if marker not in _ALONE:
            at += number(">H", data, at)
    return max(scans, MOST_SEGMENTS)
