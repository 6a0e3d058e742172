"""Files of too many parts are refused by a walk; what ordinary encoders write is not."""

from __future__ import annotations

import io
import struct
import time
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from benchmarks.hungry_cost import Cost, Measurer
from PIL import Image

from foveate.errors import ImageRefused, Reason
from foveate.image import Limits, Resize, open_image
from support.image_samples import encode, every_format, exif, photo

SAMPLES = every_format()
SERVER = Limits(
    max_bytes=32 * 2**20, max_pixels=50_000_000, max_slow_bytes=2**20, max_memory=400_000_000
)
FLOOD = 300_000
SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def cost() -> Iterator[Callable[[bytes], Cost]]:
    """What an image costs within the limits of a server, in a process of its own."""
    with Measurer() as measurer:
        yield lambda data: measurer.cost(data, SERVER)


def refused(data: bytes) -> tuple[Reason, str] | None:
    """Why `data` is refused; None where pixels come out."""
    try:
        open_image(data, SERVER).pixels(Resize(32))
    except ImageRefused as refusal:
        return refusal.reason, refusal.detail
    return None


def segment(marker: int, content: bytes = b"") -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content


def in_jpeg(parts: bytes) -> bytes:
    """A JPEG with something behind its start."""
    return SAMPLES["jpeg"][:2] + parts + SAMPLES["jpeg"][2:]


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def in_png(parts: bytes, at: bytes = b"IDAT") -> bytes:
    """A PNG with something before its pixels, or its end."""
    data = SAMPLES["png"]
    place = data.index(at) - 4
    return data[:place] + parts + data[place:]


def in_gif(parts: bytes) -> bytes:
    """A GIF with something before its first frame."""
    data = SAMPLES["gif"]
    place = 13 + (3 << ((data[10] & 7) + 1))
    return data[:place] + parts + data[place:]


def riff(chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def j2k(width: int, height: int, tile: int = 0, precinct: int = 0, layers: int = 1) -> bytes:
    """A codestream that declares what it does not hold."""
    data = bytearray(encode(Image.new("RGB", (64, 64)), "JPEG2000", no_jp2=True))
    data[8:16] = struct.pack(">II", width, height)
    data[24:32] = struct.pack(">II", tile or width, tile or height)
    coding = data.index(b"\xff\x52")
    data[coding + 6 : coding + 8] = struct.pack(">H", layers)
    if precinct:
        levels = data[coding + 9]
        data[coding + 2 : coding + 4] = struct.pack(">H", 13 + levels)
        data[coding + 4] |= 1
        data[coding + 14 : coding + 14] = bytes([precinct]) * (levels + 1)
    return bytes(data)


def tiff_of_entries(count: int, kind: int, length: int) -> bytes:
    entry = struct.pack("<HHII", 700, kind, length, 8)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", count) + entry * count + bytes(4)


AVIF = SAMPLES["avif"]
HUGE_LIST = box(b"meta", bytes(4) + box(b"iinf", bytes(70_000)))

FLOODS: dict[str, tuple[bytes, str]] = {
    "jpeg comments": (in_jpeg(segment(0xFE) * FLOOD), "segments"),
    "jpeg padding": (in_jpeg(b"\xff" * FLOOD), "bytes between"),
    "jpeg junk": (in_jpeg(segment(0xFE) + b"a" * FLOOD), "bytes between"),
    "jpeg stuffed zeros": (in_jpeg(b"\xff\0" * FLOOD), "bytes between"),
    "jpeg frames": (in_jpeg(segment(0xC0, bytes(9)) * 60), "frame headers"),
    "jpeg exif": (in_jpeg(segment(0xE1, b"Exif\0\0" + bytes(99)) * 60), "EXIF"),
    "jpeg resources": (in_jpeg(segment(0xED, b"Photoshop 3.0\0") * 60), "metadata"),
    "jpeg tables": (in_jpeg(segment(0xDB, bytes(65)) * 60), "tables"),
    "png chunks": (in_png(chunk(b"abCd") * 20_000), "chunks"),
    "png chunks behind": (in_png(chunk(b"abCd") * 20_000, b"IEND"), "chunks"),
    "png empty pixels": (in_png(chunk(b"IDAT") * 110_000), "chunks of pixels"),
    "gif comments": (in_gif(b"!\xfe" + b"\1a" * FLOOD + b"\0"), "blocks"),
    "gif application": (in_gif(b"!\xff\x0bNETSCAPE2.0" + b"\1a" * FLOOD + b"\0"), "blocks"),
    "gif extensions": (in_gif(b"!\xfe\0" * FLOOD), "blocks"),
    "gif junk": (in_gif(b"a" * FLOOD), "blocks"),
    "webp chunks": (riff(SAMPLES["webp"][12:] + b"abcd\0\0\0\0" * 30_000), "chunks"),
    "tiff entries": (tiff_of_entries(5_000, 1, 1), "entries"),
    "tiff numbers": (tiff_of_entries(1, 3, 150_000) + bytes(300_000), "numbers"),
    "j2k comments": (j2k(64, 64)[:-2] + b"", ""),
    "j2k precincts": (j2k(2000, 2000, precinct=0x11), "precincts"),
    "j2k packets": (j2k(2000, 2000, precinct=0x55, layers=65_535) + bytes(2_100_000), "packets"),
    "jp2 boxes": (SAMPLES["jp2"][:12] + box(b"free", b"") * 2_000 + SAMPLES["jp2"][12:], "boxes"),
    "avif boxes": (AVIF[:32] + box(b"free", b"") * 3_000 + AVIF[32:], "boxes"),
    "avif items": (AVIF[:32] + HUGE_LIST + AVIF[32:], "list of its items"),
}
COMMENTS = j2k(64, 64)
COD = COMMENTS.index(b"\xff\x52")
FLOODS["j2k comments"] = (
    COMMENTS[:COD] + segment(0x64, b"\0\1") * 110_000 + COMMENTS[COD:],
    "markers",
)


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_of_parts_is_refused_at_once(name: str) -> None:
    data, words = FLOODS[name]
    start = time.process_time()
    found = refused(data)
    assert time.process_time() - start < 1
    assert found is not None
    assert found[0] is Reason.TOO_LARGE
    assert words in found[1]


def test_a_long_netpbm_header() -> None:
    for junk in (b"#" + b"a" * 10**6 + b"\n", b" " * 10**6):
        found = refused(b"P6 " + junk + b"10 10 255\n" + bytes(300))
        assert found is not None
        assert found[0] is Reason.UNREADABLE
        assert "header" in found[1]
    assert refused(b"P6 #" + b"a" * 9000 + b"\n10 10 255\n" + bytes(300)) is None


def webp_canvas(mode: bytes, width: int, height: int) -> bytes:
    if mode == b"VP8X":
        sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        return riff(b"VP8X" + struct.pack("<I", 10) + bytes(4) + sizes + SAMPLES["webp"][12:])
    bits = (width - 1) | (height - 1) << 14
    return riff(b"VP8L" + struct.pack("<I", 5) + b"\x2f" + struct.pack("<I", bits) + b"\0")


FAT = {
    "j2k of 175 bytes": j2k(7000, 7000),
    "j2k of tiles": j2k(7000, 7000, tile=28),
    "j2k of precincts": j2k(2000, 2000, precinct=0x33),
    "webp": webp_canvas(b"VP8X", 7000, 7000),
    "lossless webp": webp_canvas(b"VP8L", 7000, 7000),
    "qoi": b"qoif" + struct.pack(">IIBB", 7000, 7000, 4, 0) + b"\xfd" * 800_000,
}


@pytest.mark.parametrize("name", FAT)
def test_what_takes_too_much_memory_is_refused(name: str, cost: Callable[[bytes], Cost]) -> None:
    used = cost(FAT[name])
    assert used.outcome.startswith("too_large: Decoding it takes "), used
    assert used.megabytes < 20
    assert used.seconds < 1


HUNGRY = {
    "says_50_mp.j2k": j2k(7000, 7000),
    "maxval_3.ppm": b"P6 3200 3200 3\n" + b"\1" * 30_720_000,
    "comment.ppm": b"P6 #" + b"a" * 30_000_000 + b"\n10 10 255\n" + bytes(300),
    "comments.jpg": in_jpeg(segment(0xFE) * 5_000_000),
}


@pytest.mark.parametrize("name", HUNGRY)
def test_hungry_images_are_cheap(name: str, cost: Callable[[bytes], Cost]) -> None:
    used = cost(HUNGRY[name])
    assert used.seconds < 2, used
    assert used.megabytes < 300, used
    assert (used.outcome == "read") == (name == "maxval_3.ppm")


def test_run_lengths_of_many_pixels() -> None:
    head = struct.pack("<IiiHHIIiiII", 40, 7000, 7000, 1, 8, 1, 0, 1, 1, 1, 0)
    data = b"BM" + struct.pack("<IHHI", 58, 0, 0, 58) + head + bytes(4) + b"\1\1\0\0" * 9
    found = refused(data)
    assert found is not None
    assert found[0] is Reason.TOO_LARGE
    assert "slow" in found[1]


def scans(side: int, count: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = encode(Image.new("L", (side, side), 99), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * count + data[-2:]


def test_the_larger_a_jpeg_the_fewer_scans() -> None:
    limits = Limits(max_pixels=1_000_000)
    assert open_image(scans(100, 80), limits).width == 100
    with pytest.raises(ImageRefused, match="scans; the limit for its size is 20"):
        open_image(scans(1000, 80), limits)


def large_metadata() -> bytes:
    """Extended XMP and a colour profile in many segments, an EXIF thumbnail."""
    extended = segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(60_000)) * 200
    profile = b"".join(
        segment(0xE2, b"ICC_PROFILE\0" + bytes([number, 200]) + bytes(1000))
        for number in range(1, 201)
    )
    thumbnail = segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0" + SAMPLES["jpeg"])
    return in_jpeg(thumbnail + extended + profile)


def many_frames() -> bytes:
    frames = [Image.new("P", (8, 8), number % 7) for number in range(3_000)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=20)
    return file.getvalue()


ORDINARY: dict[str, Callable[[], bytes]] = {
    "motion photo": lambda: SAMPLES["jpeg"] + np.random.default_rng(0).bytes(2**20) * 8,
    "video full of scans behind a progressive jpeg": lambda: (
        SAMPLES["jpeg-progressive"] + b"\xff\xda" * 10_000
    ),
    "metadata": large_metadata,
    "junk before a segment": lambda: in_jpeg(segment(0xFE) + b"ab\xff\xff"),
    "gif of 3,000 frames": many_frames,
    "png in small chunks": lambda: in_png(b"".join([chunk(b"tEXt", b"a\0b")] * 500)),
    "turned": lambda: encode(photo(500, 300), "JPEG", exif=exif(6)),
    "tiff of a strip a row": lambda: encode(
        photo(60, 44), "TIFF", compression="tiff_lzw", strip_size=1
    ),
    "tiled j2k": lambda: encode(
        photo(500, 300), "JPEG2000", tile_size=(64, 64), precinct_size=(64, 64)
    ),
    "j2k of layers": lambda: encode(
        photo(500, 300), "JPEG2000", quality_layers=[80, 40, 20, 10, 5], irreversible=True
    ),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_files_are_read(name: str) -> None:
    assert refused(ORDINARY[name]()) is None


@pytest.mark.parametrize("name", SAMPLES)
def test_small_images_of_every_format_are_read(name: str) -> None:
    assert refused(SAMPLES[name]) is None


@pytest.mark.parametrize("mode", ["RGBA", *(pytest.param(m, marks=SLOW) for m in ("P", "I;16"))])
def test_fifty_megapixels_are_within_the_memory(mode: str, cost: Callable[[bytes], Cost]) -> None:
    side = 7071
    bits, colour, samples = {"RGBA": (8, 6, 4), "P": (8, 3, 1), "I;16": (16, 0, 1)}[mode]
    row = bytes(1 + side * samples * bits // 8)
    packer = zlib.compressobj(1)
    packed = b"".join([*(packer.compress(row) for _ in range(side)), packer.flush()])
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, bits, colour, 0, 0, 0))
    palette = chunk(b"PLTE", bytes(768)) + chunk(b"tRNS", bytes(256)) if mode == "P" else b""
    data = b"\x89PNG\r\n\x1a\n" + head + palette + chunk(b"IDAT", packed) + chunk(b"IEND")
    used = cost(data)
    assert used.outcome == "read"
    assert 100 < used.megabytes < 440


@SLOW
def test_fifty_megapixels_as_jpeg(cost: Callable[[bytes], Cost]) -> None:
    image = Image.new("RGB", (7071, 7071), "teal")
    for options in ({}, {"progressive": True, "subsampling": 0}):
        used = cost(encode(image, "JPEG", **options))
        assert used.outcome == "read"
        assert used.megabytes < 400
