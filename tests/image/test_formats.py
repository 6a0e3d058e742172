from __future__ import annotations

import gzip
import io
import zipfile

import pytest

from foveate.errors import ImageRefused, Reason
from foveate.image.formats import ends_early, sniff
from support.image_samples import every_format

SAMPLES = every_format()
EXPECTED = {"mpo": "JPEG", "jp2": "JPEG2000", "j2k": "JPEG2000", "pgm": "PPM", "pbm": "PPM"}
EXPECTED |= {"pfm": "PPM"}


@pytest.mark.parametrize("name", SAMPLES)
def test_sniff_names_the_format(name: str) -> None:
    family = name.partition("-")[0]
    assert sniff(SAMPLES[name]) == EXPECTED.get(family, family.upper())


def zip_archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.jpg", SAMPLES["jpeg"])
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", "video"),
        (b"8BPS\0\1", "Photoshop"),
        (zip_archive(), "ZIP"),
        (gzip.compress(bytes(1_000_000)), "gzip"),
        (b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg width="9"/>', "SVG"),
        (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "web page"),
        (b"Just a text that was named shirt.jpg", "a text"),
        (b"BM is a text, and no bitmap at all", "a text"),
        (b"PNG, PPM and P6 are formats as well", "a text"),
        (b"\x01\x02\x03\x04", "no image format"),
        (b"\xff", "no image format"),
    ],
)
def test_what_is_no_image_is_named(data: bytes, named: str) -> None:
    with pytest.raises(ImageRefused, match=named) as refused:
        sniff(data)
    assert refused.value.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize("name", SAMPLES)
def test_a_whole_file_does_not_end_early(name: str) -> None:
    assert not ends_early(sniff(SAMPLES[name]), SAMPLES[name])


@pytest.mark.parametrize(
    "name", ["png", "gif", "webp", "bmp", "tiff-lzw", "jp2", "j2k", "avif", "qoi"]
)
def test_half_a_file_ends_early(name: str) -> None:
    data = SAMPLES[name]
    assert ends_early(sniff(data), data[: len(data) // 2])


def test_a_jpeg_cut_within_its_header_ends_early() -> None:
    data = SAMPLES["jpeg"]
    scan = data.index(b"\xff\xda")
    assert all(ends_early("JPEG", data[:cut]) for cut in range(3, scan + 2))


def test_tiff_directory_beyond_the_end() -> None:
    classic, big = b"II*\0\x08\0\0\0", b"MM\0+\0\x08\0\0" + (16).to_bytes(8, "big")
    assert ends_early("TIFF", classic)
    assert ends_early("TIFF", big)
    no_entries = b"\0" * 8
    assert not ends_early("TIFF", classic + no_entries)
    assert not ends_early("TIFF", big + no_entries)
