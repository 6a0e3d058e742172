"""Images that cost as much as their format allows, made from a few parameters each.

A kind is a function of parameters, and the values that each may have; the search in
`benchmarks.hungry` looks for the worst. `scene` says what is drawn: `flat` compresses to nothing,
`noise` to nothing less.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageFile

SIZES = (1, 4, 8, 12, 15, 18, 25, 33, 40, 50)
"""Megapixels."""

ASPECTS = (1, 3, 80)
"""Width over height."""

ImageFile.MAXBLOCK = 2**27  # Pillow encodes a progressive JPEG into one buffer of this size

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to make hungry images.

    Attributes:
        format: Pillow's name of it.
        make: the bytes of a file, from one value for each parameter.
        space: the values of each parameter.
        starts: where a search begins, beside those at random: what was bad before.
    """

    format: str
    make: Callable[[Values], bytes]
    space: Mapping[str, Sequence[Any]]
    starts: Sequence[Values] = ()


def side(values: Values) -> tuple[int, int]:
    """Width and height of so many megapixels."""
    height = int((values["size"] * 1e6 / values["aspect"]) ** 0.5)
    return min(int(values["size"] * 1e6 / height), 65_000), min(height, 65_000)


@lru_cache(maxsize=2)
def scene(name: str, width: int, height: int, mode: str) -> Image.Image:
    """An image to encode."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    if name == "flat":
        return Image.new(mode, (width, height))
    tile = np.random.default_rng(0).integers(0, 256, (256, 256, bands), np.uint8)
    whole = np.tile(tile, (-(-height // 256), -(-width // 256), 1))[:height, :width]
    return Image.frombytes(mode, (width, height), np.ascontiguousarray(whole).tobytes())


def encoded(values: Values, name: str, mode: str, **options: Any) -> bytes:
    """The scene of `values`, written by Pillow."""
    file = io.BytesIO()
    scene(values["scene"], *side(values), mode).save(file, name, **options)
    return file.getvalue()


def jpeg(values: Values) -> bytes:
    """Scans repeated, without restart of what they code."""
    options = {"progressive": values["passes"] > 1, "quality": values["quality"]}
    if values["mode"] == "RGB":
        options["subsampling"] = values["subsampling"]
    data = encoded(values, "JPEG", values["mode"], **options)
    last = data.rindex(b"\xff\xda")
    repeated = data[:-2] + data[last:-2] * max(0, values["passes"] - 10) + data[-2:]
    comments = b"\xff\xfe\0\2" * values["segments"]
    return repeated[:2] + comments + repeated[2:]


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def png(values: Values) -> bytes:
    """Rows of one filter, with texts that unpack to much before them."""
    width, height = side(values)
    colour, bits = values["pixels"]
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = bytes([values["filter"]]) + bytes((width * samples * bits + 7) // 8)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, values["interlaced"])
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**20 - 9)))
    extra = [text] * values["texts"] + [chunk(b"abCd", b"")] * values["chunks"]
    if colour == 3:
        extra += [chunk(b"PLTE", bytes(768)), chunk(b"tRNS", bytes(range(256)))]
    compressor = zlib.compressobj(1)
    packed = b"".join([*(compressor.compress(row) for _ in range(height)), compressor.flush()])
    pieces = [packed[at : at + values["piece"]] for at in range(0, len(packed), values["piece"])]
    parts = [chunk(b"IHDR", header), *extra, *(chunk(b"IDAT", piece) for piece in pieces)]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IEND", b"")])


def gif(values: Values) -> bytes:
    """Comments in tiny blocks before the frame."""
    data = encoded(values, "GIF", values["mode"], interlace=values["interlaced"])
    at = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    return data[:at] + b"!\xfe" + b"\1a" * values["blocks"] + b"\0" + data[at:]


def webp(values: Values) -> bytes:
    """Lossless or not, with transparency or not."""
    lossless = values["lossless"]
    return encoded(values, "WEBP", values["mode"], lossless=lossless, quality=80, method=0)


def bmp(values: Values) -> bytes:
    """Pixels as they are, or run lengths of the slowest kind."""
    width, height = side(values)
    if values["code"] == 0:
        return encoded(values, "BMP", values["mode"])
    bits = {1: 8, 2: 4}[values["code"]]
    runs = {"long": b"\xff\1", "short": b"\1\1", "lines": b"\1\1\0\0"}[values["runs"]]
    body = runs * min(width * height // 2, 500_000)
    info = (40, width, height, 1, bits, values["code"], len(body), 1, 1, 256 >> (8 - bits), 0)
    start = 54 + 4 * info[9]
    head = b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start)
    return head + struct.pack("<IiiHHIIiiII", *info) + bytes(4 * info[9]) + body


def tiff(values: Values) -> bytes:
    """Strips of any height and compression, turned or not."""
    width, height = side(values)
    if values["mode"] in ("F", "I;16"):
        kind = np.float32 if values["mode"] == "F" else np.uint16
        image = Image.fromarray(np.zeros((height, width), kind))
    else:
        image = scene(values["scene"], width, height, values["mode"])
    file = io.BytesIO()
    rows = min(values["rows"], height)
    image.save(
        file,
        "TIFF",
        compression=values["compression"],
        strip_size=rows * width * 4,
        tiffinfo={274: values["turned"]},
    )
    return file.getvalue()


def netpbm(values: Values) -> bytes:
    """Values of any brightness, binary or as text."""
    width, height = side(values)
    kind, brightest = values["kind"], values["brightest"]
    head = b"%b %d %d" % (kind.encode(), width, height)
    head += b"\n" if kind in ("P1", "P4") else b" %d\n" % (-1 if kind == "Pf" else brightest)
    head = head[:2] + b" #" + b"a" * values["comment"] + b"\n" + head[2:]
    samples = width * height * (3 if kind in ("P3", "P6") else 1)
    if kind in ("P1", "P2", "P3"):
        return head + b"1 " * samples
    each = 4 if kind == "Pf" else 1 + (brightest > 255)
    return head + bytes((samples + 7) // 8 if kind == "P4" else samples * each)


def jpeg2000(values: Values) -> bytes:
    """A whole image, or one that declares more than it holds, cut into the smallest parts."""
    if values["scene"] != "declared":
        return encoded(values, "JPEG2000", values["mode"], no_jp2=True)
    small = io.BytesIO()
    Image.new(values["mode"], (64, 64)).save(small, "JPEG2000", no_jp2=True)
    data = bytearray(small.getvalue())
    width, height = side(values)
    tile = values["tile"]
    data[8:16] = struct.pack(">II", width, height)
    data[24:32] = struct.pack(">II", tile or width, tile or height)
    coding = data.index(b"\xff\x52")
    levels = data[coding + 9]
    data[coding + 10 : coding + 12] = bytes([values["block"]] * 2)
    if values["precinct"]:
        data[coding + 2 : coding + 4] = struct.pack(">H", 13 + levels)
        data[coding + 4] |= 1
        data[coding + 14 : coding + 14] = bytes([values["precinct"]] * (levels + 1))
    return bytes(data)


def avif(values: Values) -> bytes:
    """Colours and transparency without subsampling."""
    options = {"subsampling": values["subsampling"], "quality": values["quality"], "speed": 10}
    return encoded(values, "AVIF", values["mode"], **options)


def qoi(values: Values) -> bytes:
    """One operation, again and again."""
    width, height = side(values)
    pixels = width * height
    operation = {"run": b"\xfd", "difference": b"\x7f", "luma": b"\xa0\x88", "rgba": b"\xff" * 5}
    count = pixels // 62 + 1 if values["operation"] == "run" else pixels
    body = operation[values["operation"]] * min(count, 2**20 // len(operation[values["operation"]]))
    head = b"qoif" + struct.pack(">IIBB", width, height, values["channels"], 0)
    return head + body[: 2**20 - 30] + bytes(7) + b"\1"


_DRAWN = {"size": SIZES, "aspect": ASPECTS, "scene": ("flat", "noise")}
_DECLARED = {"size": SIZES, "aspect": ASPECTS}
_FLAT = {"aspect": 1, "scene": "flat"}
_NOISE = {"aspect": 1, "scene": "noise"}

KINDS = (
    Kind(
        "JPEG",
        jpeg,
        _DRAWN
        | {
            "mode": ("RGB", "L", "CMYK"),
            "passes": (1, 10, 20, 90),
            "subsampling": (0, 2),
            "quality": (30, 75, 95),
            "segments": (0, 1_900),
        },
        tuple(
            values | {"subsampling": 0, "quality": 75, "segments": 1_900}
            for values in (
                _FLAT | {"size": 33, "mode": "CMYK", "passes": 20},
                _FLAT | {"size": 50, "mode": "RGB", "passes": 20},
                _NOISE | {"size": 12, "mode": "RGB", "passes": 10},
            )
        ),
    ),
    Kind(
        "PNG",
        png,
        _DECLARED
        | {
            "pixels": ((0, 1), (0, 16), (2, 8), (2, 16), (3, 8), (4, 16), (6, 8), (6, 16)),
            "filter": (0, 1, 2, 3, 4),
            "interlaced": (0, 1),
            "texts": (0, 60, 500),
            "chunks": (0, 9_000),
            "piece": (50, 8_192, 10**6),
        },
        tuple(
            {"size": 50, "aspect": 1, "pixels": (colour, 16), "filter": 4, "interlaced": 0}
            | {"texts": texts, "chunks": 9_000, "piece": 50}
            for colour, texts in ((6, 0), (4, 0), (2, 500))
        ),
    ),
    Kind(
        "GIF",
        gif,
        _DRAWN | {"mode": ("L", "P"), "interlaced": (0, 1), "blocks": (0, 19_000)},
        (_NOISE | {"size": 50, "mode": "L", "interlaced": 1, "blocks": 19_000},),
    ),
    Kind(
        "WEBP",
        webp,
        _DRAWN
        | {"size": (1, 4, 8, 12, 15, 18), "mode": ("RGB", "RGBA"), "lossless": (False, True)},
        (
            _FLAT | {"size": 18, "mode": "RGBA", "lossless": True},
            _NOISE | {"size": 18, "mode": "RGBA", "lossless": False},
        ),
    ),
    Kind(
        "BMP",
        bmp,
        _DRAWN
        | {
            "mode": ("1", "L", "RGB"),
            "code": (0, 1, 2),
            "runs": ("long", "short", "lines"),
        },
        tuple(
            {"size": 8, "aspect": aspect, "scene": "flat", "mode": "L", "code": code, "runs": runs}
            for aspect, code, runs in ((80, 1, "lines"), (1, 2, "long"))
        ),
    ),
    Kind(
        "TIFF",
        tiff,
        _DRAWN
        | {
            "mode": ("1", "L", "I;16", "F", "RGB", "RGBA", "CMYK", "LAB"),
            "compression": ("raw", "tiff_lzw", "tiff_adobe_deflate", "lzma", "zstd", "packbits"),
            "rows": (1, 16, 10**6),
            "turned": (1, 6),
        },
        tuple(
            _FLAT | {"size": 50, "mode": mode, "compression": "tiff_lzw", "rows": 16, "turned": 1}
            for mode in ("RGBA", "F", "CMYK", "LAB")
        ),
    ),
    Kind(
        "PPM",
        netpbm,
        _DECLARED
        | {
            "kind": ("P1", "P2", "P3", "P4", "P5", "P6", "Pf"),
            "brightest": (3, 255, 4095, 65535),
            "comment": (0, 16_000),
        },
        (
            {"size": 50, "aspect": 1, "kind": "P4", "brightest": 255, "comment": 16_000},
            {"size": 15, "aspect": 1, "kind": "P5", "brightest": 4095, "comment": 0},
            {"size": 0.25, "aspect": 1, "kind": "P2", "brightest": 65535, "comment": 0},
        ),
    ),
    Kind(
        "JPEG2000",
        jpeg2000,
        {
            "size": (0.25, *SIZES),
            "aspect": ASPECTS,
            "scene": ("flat", "noise", "declared", "declared"),
            "mode": ("L", "RGB", "RGBA"),
            "tile": (0, 20, 64, 1000),
            "block": (0, 2, 4),
            "precinct": (0, 0x11, 0x33, 0x77),
        },
        tuple(
            {"aspect": 1, "mode": "RGB", "tile": 0, "block": block, "precinct": precinct}
            | {"size": size, "scene": scene}
            for size, scene, block, precinct in (
                (4, "noise", 4, 0),
                (1, "declared", 0, 0x33),
                (18, "declared", 4, 0),
                (8, "declared", 0, 0),
            )
        ),
    ),
    Kind(
        "AVIF",
        avif,
        _DRAWN
        | {
            "size": (1, 2, 4, 8, 12, 13, 15),
            "mode": ("RGB", "RGBA"),
            "subsampling": ("4:2:0", "4:4:4"),
            "quality": (50, 80, 100),
        },
        (
            _FLAT | {"size": 13, "mode": "RGBA", "subsampling": "4:4:4", "quality": 50},
            _NOISE | {"size": 8, "mode": "RGB", "subsampling": "4:4:4", "quality": 100},
        ),
    ),
    Kind(
        "QOI",
        qoi,
        _DECLARED | {"operation": ("run", "difference", "luma", "rgba"), "channels": (3, 4)},
        (
            {"size": 25, "aspect": 1, "operation": "difference", "channels": 4},
            {"size": 25, "aspect": 1, "operation": "run", "channels": 4},
        ),
    ),
)
