"""Whatever the bytes: a whole image or an `ImageRefused`, soon, and never anything else."""

from __future__ import annotations

import gzip
import io
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from foveate.errors import ImageRefused, Reason
from foveate.image import Limits, Resize, open_image
from foveate.image.formats import Format, slow_bytes
from support.image_samples import encode, every_format, photo, tiff

SAMPLES = every_format()
SQUARE = Resize(24, "squash")


def read(data: bytes) -> NDArray[np.uint8] | ImageRefused:
    """The pixels of `data`, or why there are none."""
    try:
        image = open_image(data)
        assert len(image.dhash()) == 32
        return image.pixels(SQUARE)
    except ImageRefused as refused:
        return refused


def reason(data: bytes) -> Reason | None:
    """Why `data` is refused, said in one plain sentence; None if it is read."""
    outcome = read(data)
    if isinstance(outcome, ImageRefused):
        assert outcome.detail.endswith(".")
        assert "\n" not in outcome.detail
        return outcome.reason
    assert outcome.shape == (24, 24, 3)
    return None


def png_chunk(kind: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def png(width: int, height: int, *chunks: bytes, bits: int = 8, colour: int = 2) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + png_chunk(b"IEND", b"")


def pixel_data(data: bytes) -> bytes:
    return png_chunk(b"IDAT", zlib.compress(data))


def webp(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", 10) + bytes(4) + size
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


def jpeg_with_size(width: int, height: int) -> bytes:
    data = bytearray(SAMPLES["jpeg"])
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def gif_with_size(width: int, height: int) -> bytes:
    data = bytearray(SAMPLES["gif"])
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


BOMBS = {
    "png": png(60_000, 60_000, pixel_data(bytes(99))),
    "png of 4 billion": png(2**31 - 1, 2**31 - 1, pixel_data(bytes(99))),
    "jpeg": jpeg_with_size(65_500, 65_500),
    "gif": gif_with_size(65_535, 65_535),
    "webp": webp(2**24, 2**24),
    "bmp": b"BM" + struct.pack("<IIIIiiHHIIiiII", 99, 0, 54, 40, 50_000, 50_000, 1, 24, *[0] * 6),
    "tiff": tiff(np.zeros((1, 1, 3), np.uint8), photometric=2).replace(
        struct.pack("<HHII", 256, 4, 1, 1), struct.pack("<HHII", 256, 4, 1, 2**31)
    ),
    "ppm": b"P6 90000 90000 255\n" + bytes(99),
    "jpeg 2000": SAMPLES["j2k"][:8] + struct.pack(">II", 60_000, 60_000) + SAMPLES["j2k"][16:],
    "qoi": b"qoif" + struct.pack(">IIBB", 60_000, 60_000, 3, 0) + bytes(99),
    "long side": png(1, 70_000, pixel_data(bytes(99))),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_from_its_header(name: str) -> None:
    tracemalloc.start()
    before = time.process_time()
    try:
        assert reason(BOMBS[name]) is Reason.TOO_LARGE
        assert time.process_time() - before < 0.5
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def tiff_whose_directory_is_its_own_next() -> bytes:
    data = bytearray(SAMPLES["tiff"])
    (first,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * entries, first)
    return bytes(data)


def with_byte(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + bytes([value]) + data[at + 1 :]


HOSTILE: dict[str, tuple[bytes, Reason | None]] = {
    "zero bytes": (b"", Reason.EMPTY),
    "one byte": (b"\xff", Reason.UNSUPPORTED),
    "text": (b"This is not a picture at all.", Reason.UNSUPPORTED),
    "web page": (b"<!DOCTYPE html><html><body>404</body></html>", Reason.UNSUPPORTED),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" width="9"/>', Reason.UNSUPPORTED),
    "pdf": (b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n", Reason.UNSUPPORTED),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", Reason.UNSUPPORTED),
    "gzip bomb": (gzip.compress(bytes(10**7)), Reason.UNSUPPORTED),
    "nulls": (bytes(10_000), Reason.UNSUPPORTED),
    "jpeg signature alone": (b"\xff\xd8\xff", Reason.TRUNCATED),
    "jpeg with nothing in it": (b"\xff\xd8\xff\xd9", Reason.TRUNCATED),
    "png signature alone": (b"\x89PNG\r\n\x1a\n", Reason.TRUNCATED),
    "png of wrong checksum": (with_byte(SAMPLES["png"], 29, 0), Reason.UNREADABLE),
    "png without pixels": (png(9, 9), Reason.UNREADABLE),
    "png of no size": (png(0, 9, pixel_data(b"")), Reason.UNREADABLE),
    "png of impossible depth": (png(9, 9, pixel_data(bytes(999)), bits=7), Reason.UNREADABLE),
    "png with a text bomb": (
        png(9, 9, png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8)))),
        Reason.UNREADABLE,
    ),
    "gif without frames": (SAMPLES["gif"][:13] + b";", Reason.UNREADABLE),
    "gif of no size": (with_byte(with_byte(SAMPLES["gif"], 6, 0), 8, 0), None),
    "webp without frames": (webp(9, 9), Reason.UNREADABLE),
    "bmp of unknown depth": (with_byte(SAMPLES["bmp"], 28, 7), Reason.UNSUPPORTED),
    "tiff loop": (tiff_whose_directory_is_its_own_next(), None),
    "tiff of unknown pixels": (
        tiff(np.zeros((4, 4, 7), np.uint16), photometric=2),
        Reason.UNSUPPORTED,
    ),
    "tiff of complex numbers": (
        tiff(np.zeros((4, 4), np.complex64), photometric=1, sample_format=6),
        Reason.UNSUPPORTED,
    ),
    "tiff of unknown compression": (
        tiff(np.zeros((4, 4), np.uint8), photometric=1).replace(
            struct.pack("<HHIH", 259, 3, 1, 1), struct.pack("<HHIH", 259, 3, 1, 34712)
        ),
        Reason.UNSUPPORTED,
    ),
    "tiff whose directory is elsewhere": (b"II*\0\xff\xff\xff\x7f", Reason.TRUNCATED),
    "ppm of too much grey": (b"P5 9 9 99999\n" + bytes(99), Reason.UNREADABLE),
    "ppm of words": (b"P3 is not the start of a picture", Reason.UNREADABLE),
    "avif without boxes": (b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", Reason.TRUNCATED),
    "1 x 30000": (encode(photo(1, 30_000), "PNG"), None),
    "30000 x 1": (encode(photo(30_000, 1), "JPEG"), None),
    "1 x 1": (encode(photo(1, 1), "GIF"), None),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(name: str) -> None:
    data, expected = HOSTILE[name]
    assert reason(data) is expected


# Where a format keeps all pixels of the first frame before the cut, the image is whole.
@pytest.mark.parametrize("name", SAMPLES)
def test_a_cut_file_is_truncated_or_whole(name: str) -> None:
    data = SAMPLES[name]
    whole = open_image(data).pixels(SQUARE)
    signature = 32 if name == "avif" else 18 if name.startswith("bmp") else 12
    step = max(len(data) // 60, 1)
    for cut in [*range(signature, len(data), step), *range(len(data) - 20, len(data))]:
        outcome = read(data[:cut])
        if isinstance(outcome, ImageRefused):
            assert outcome.reason is Reason.TRUNCATED, (cut, str(outcome))
        else:
            assert np.array_equal(outcome, whole), cut


def test_a_cut_within_the_signature_is_unsupported() -> None:
    for name in ("png", "gif", "webp", "bmp", "tiff", "jp2"):
        assert reason(SAMPLES[name][:3]) is Reason.UNSUPPORTED


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_damaged_files_are_read_or_refused(name: str, data: st.DataObject) -> None:
    damaged = bytearray(SAMPLES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        # Headers decide most, so half of the damage goes there.
        last = data.draw(st.sampled_from([min(120, len(damaged)) - 1, len(damaged) - 1]))
        damaged[data.draw(st.integers(4, last))] = data.draw(st.integers(0, 255))
    reason(bytes(damaged))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([*SAMPLES, ""]), st.binary(max_size=300))
def test_noise_after_a_signature_is_refused(name: str, noise: bytes) -> None:
    signature = SAMPLES[name][:26] if name else b""
    if name in ("pbm", "pgm", "ppm", "pgm-16bit", "pfm"):
        signature = SAMPLES[name][:3]
    reason(signature + noise)


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    # In a process of its own, as pytest takes care of logs in this one.
    code = (
        "import sys; from foveate.errors import ImageRefused; from foveate.image import *\n"
        "data = sys.stdin.buffer.read()\n"
        "try: open_image(data).dhash()\n"
        "except ImageRefused: sys.exit(7)"
    )
    for name in ("tiff of unknown pixels", "bmp of unknown depth", "png of wrong checksum"):
        done = subprocess.run(
            [sys.executable, "-c", code], input=HOSTILE[name][0], check=False, timeout=60
        )
        assert done.returncode == 7
    assert capfd.readouterr() == ("", "")


def test_a_text_of_a_million_comments() -> None:
    with pytest.raises(ImageRefused) as refused:
        open_image(b"P1 10 10\n" + b"#\n" * 10**6 + b"0 " * 100)
    assert refused.value.reason == Reason.UNREADABLE


@pytest.mark.parametrize(
    ("name", "data", "slow"),
    [
        ("QOI", b"qoif", True),
        ("PPM", b"P3 1 1", True),
        ("PPM", b"P6 1 1", False),
        ("BMP", b"BM" + bytes(28) + b"\1\0\0\0", True),
        ("BMP", b"BM" + bytes(28) + b"\0\0\0\0", False),
        ("JPEG", b"\xff\xd8\xff", False),
    ],
)
def test_slow_formats_have_a_limit_of_their_own(name: Format, data: bytes, slow: bool) -> None:
    assert bool(slow_bytes(name, data)) == slow
    if slow and name != "BMP":
        with pytest.raises(ImageRefused, match="slow to decode"):
            open_image(data + bytes(100), Limits(max_slow_bytes=50))


def test_a_jpeg_of_thousands_of_scans() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    assert open_image(data).width == 64
    scan = data.rindex(b"\xff\xda")
    with pytest.raises(ImageRefused) as refused:
        open_image(data[:-2] + data[scan:-2] * 200 + data[-2:])
    assert refused.value.reason == Reason.TOO_LARGE
