"""Tell the format of an image from its bytes, and whether the bytes stop too soon.

The file name is never asked: `photo.jpg` may well hold a PNG, or a web page that says 404.
A format is on the list when it starts with a signature, states its size in its header, and
is decoded by code that only unpacks pixels. Left out on purpose: EPS, WMF and PDF run an
interpreter; TGA and PCX have no signature, so any text could pass for one; ICO is decoded
before its size is known.
"""

from __future__ import annotations

import re
import struct
from typing import Literal

from foveate.errors import ImageRefused, Reason

Format = Literal[
    "JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "QOI"
]  # Pillow's names

_SIGNATURES: tuple[tuple[Format, re.Pattern[bytes]], ...] = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("WEBP", re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
    # "BM" alone would also match a text; the size of the second header is one of seven.
    ("BMP", re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL)),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]")),
    ("PPM", re.compile(rb"P[1-6fF]\s")),
    ("JPEG2000", re.compile(rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n")),
    ("AVIF", re.compile(rb".{4}ftyp(?:avi[fs]|(?:mif1|msf1).{4,64}?avi[fs])", re.DOTALL)),
    ("QOI", re.compile(rb"qoif")),
)

_KNOWN_OTHERS: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL | re.IGNORECASE), name)
    for pattern, name in (
        (rb"%PDF", "a PDF document"),
        (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript file"),
        (rb".{4}ftyp(?:hei[cxms]|hev[cx]|mif1|msf1)", "a HEIC photo"),
        (rb".{4}ftyp", "a video"),
        (rb"8BPS", "a Photoshop document"),
        (rb"PK\x03\x04", "a ZIP archive"),
        (rb"\x1f\x8b", "a gzip archive"),
        (rb"\0\0\x01\0", "a Windows icon"),
        (rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?<svg", "an SVG drawing"),
        (rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|head|body)", "a web page"),
        (rb"[\t\n\r\x20-\x7e]{16}", "a text"),
    )
)


def sniff(data: bytes) -> Format:
    """The format that the first bytes declare.

    Raises:
        ImageRefused: `unsupported`; the sentence names what the bytes are, where known.
    """
    for name, signature in _SIGNATURES:
        if signature.match(data):
            return name
    head = data[:1024]
    for signature, other in _KNOWN_OTHERS:
        if signature.match(head):
            raise ImageRefused(
                Reason.UNSUPPORTED,
                f"It is {other}, whatever its name says; save it as JPEG or PNG to use it.",
            )
    raise ImageRefused(
        Reason.UNSUPPORTED,
        "Its bytes are in no image format that foveate reads; save it as JPEG or PNG to use it.",
    )


_MOST_COMMENTS = 100
_JPEG2000_BYTES_PER_SLOW_BYTE = 16


def check_comments(name: Format, data: bytes) -> None:
    """Refuse a Netpbm text with more comments than a person writes.

    Pillow copies what is left of the text for every comment, which takes minutes for a million.

    Raises:
        ImageRefused: unreadable.
    """
    if name == "PPM" and data[1:2] in b"123" and data.count(b"#") > _MOST_COMMENTS:
        raise ImageRefused(Reason.UNREADABLE, "It has thousands of comments; save it as PNG.")


def slow_bytes(name: Format, data: bytes) -> int:
    """How many bytes of a file are slow to decode, in about a second a megabyte; 0 for most.

    All of those that Python itself decodes: QOI; plain-text Netpbm; BMP with run lengths
    (compression 1 and 2 in the header). JPEG 2000 takes a quarter of a second a megabyte, and
    its limit is higher.
    """
    match name:
        case "QOI":
            return len(data)
        case "PPM" if data[1:2] in b"123":
            return len(data)
        case "BMP" if data[30:34] in (b"\1\0\0\0", b"\2\0\0\0"):
            return len(data)
        case "JPEG2000":
            return len(data) // _JPEG2000_BYTES_PER_SLOW_BYTE
        case _:
            return 0


def ends_early(name: Format, data: bytes) -> bool:
    """Whether the bytes stop before the place where the format says they should.

    Decoders report a missing end in words of their own, if at all; this looks at the file's
    structure alone. Netpbm files do not state where they end: always False.
    """
    match name:
        case "JPEG":
            return _jpeg_header_ends_early(data)
        case "PNG":
            return b"IEND" not in data
        case "GIF":
            return not data.rstrip(b"\0").endswith(b";")
        case "WEBP":
            return len(data) < int.from_bytes(data[4:8], "little") + 8
        case "BMP":
            return len(data) < max(int.from_bytes(data[2:6], "little"), 26)
        case "TIFF":
            return _tiff_header_ends_early(data)
        case "JPEG2000":  # packets hold no marker, so the end marker occurs only at the end
            return b"\xff\xd9" not in data
        case "AVIF":
            return _boxes_end_early(data)
        case "QOI":
            return b"\0\0\0\0\0\0\0\x01" not in data[14:]
        case "PPM":
            return False


def _jpeg_header_ends_early(data: bytes) -> bool:
    """Walk the marker segments up to the first scan."""
    at = 2
    while at + 4 <= len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at] != 0xFF:
            return False
        if marker == 0xFF:  # padding
            at += 1
            continue
        at += 2 + length
        if marker == 0xDA:
            return at > len(data)
    return True


def _boxes_end_early(data: bytes) -> bool:
    """Walk the top-level boxes of an ISO base media file (ISO/IEC 14496-12, 4.2)."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size == 0:  # to the end of the file
            return False
        if size < 8:
            return False  # damaged, rather than cut
        at += size
    return at != len(data)


_TIFF_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}


def _tiff_header_ends_early(data: bytes) -> bool:
    """Whether the first directory, or a value it points to, lies beyond the end (TIFF 6.0, 2)."""
    order = "<" if data[:2] == b"II" else ">"
    if data[2:4].strip(b"\0") == b"+":  # BigTIFF: the same with 8-byte counts and offsets
        start, count, entry, inline = "Q", "Q", "HHQ", 8
        first = 8
    else:
        start, count, entry, inline = "I", "H", "HHI", 4
        first = 4
    try:
        (at,) = struct.unpack_from(order + start, data, first)
        (entries,) = struct.unpack_from(order + count, data, at)
        at += struct.calcsize(order + count)
        for _ in range(min(entries, 65_535)):
            _, kind, length = struct.unpack_from(order + entry, data, at)
            at += struct.calcsize(order + entry)
            (offset,) = struct.unpack_from(order + start, data, at)
            at += inline
            size = _TIFF_TYPE_BYTES.get(kind, 1) * length
            if size > inline and offset + size > len(data):
                return True
    except (struct.error, OverflowError):
        return True
    return False
