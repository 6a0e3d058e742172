from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from foveate.errors import ImageRefused, Reason
from foveate.image import Resize, open_image
from foveate.image.jpeg import covering_scale, decode_scaled
from foveate.image.resize import resample
from support.image_samples import encode, photo


@pytest.mark.parametrize(
    ("size", "resolution", "eighths"),
    [
        ((4000, 3000), 224, 1),
        ((1792, 1785), 224, 1),  # 1785 / 8 rounded up is 224
        ((1792, 1784), 224, 2),
        ((640, 427), 224, 8),
        ((640, 448), 224, 4),
        ((640, 447), 224, 4),
        ((640, 446), 224, 8),
        ((100, 100), 224, 8),
        ((1, 30_000), 224, 8),
    ],
)
def test_covering_scale(size: tuple[int, int], resolution: int, eighths: int) -> None:
    assert covering_scale(*size, resolution) == eighths
    assert covering_scale(*size[::-1], resolution) == eighths


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2, 4, 8]))
def test_decoded_size(width: int, height: int, eighths: int) -> None:
    data = encode(Image.new("L", (width, height), 99), "JPEG")
    image = decode_scaled(data, width, height, eighths)  # type: ignore[arg-type]
    assert image is not None
    assert image.mode == "RGBX"
    assert image.size == (-(-width * eighths // 8), -(-height * eighths // 8))


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}],
    ids=["420", "progressive", "444", "422"],
)
@pytest.mark.parametrize("rule", ["crop", "squash"])
@pytest.mark.parametrize(
    ("size", "eighths"), [((600, 530), 1), ((261, 410), 2), ((131, 137), 4), ((131, 120), 8)]
)
def test_scaled_decode_is_close_to_full_decode(
    size: tuple[int, int], eighths: int, rule: str, options: dict[str, int]
) -> None:
    assert covering_scale(*size, 64) == eighths
    data = encode(photo(*size), "JPEG", quality=90, **options)
    resize = Resize(64, rule)  # type: ignore[arg-type]
    scaled = open_image(data).pixels(resize).astype(int)
    full = Image.open(BytesIO(data)).convert("RGB")
    exact = np.asarray(resample(full, resize.box(*size), 64)).astype(int)
    assert abs(scaled - exact).mean() < 1.2
    # A box that is off would show as a shift along the gradient.
    brightness, difference = exact.mean(-1), (scaled - exact).mean(-1)
    for axis in (0, 1):
        slope = np.gradient(brightness, axis=axis)
        shift = (difference * slope).sum() / (slope**2).sum()
        assert abs(shift) < 0.1, (axis, shift)


def test_the_header_and_the_pixels_must_agree() -> None:
    with pytest.raises(ImageRefused, match="disagree") as refused:
        decode_scaled(encode(photo(32, 32), "JPEG"), 32, 40, 8)
    assert refused.value.reason is Reason.UNREADABLE


def cuts(data: bytes) -> Iterator[int]:
    yield from range(3, len(data), max(len(data) // 60, 1))
    yield from (len(data) - 2, len(data) - 1)


@pytest.mark.parametrize("progressive", [False, True])
def test_every_cut_is_refused_as_truncated(progressive: bool) -> None:
    data = encode(photo(90, 70), "JPEG", progressive=progressive, exif=b"Exif\0\0" + bytes(90))
    for cut in cuts(data):
        with pytest.raises(ImageRefused) as refused:
            open_image(data[:cut]).pixels(Resize(32))
        assert refused.value.reason is Reason.TRUNCATED, (cut, str(refused.value))


def test_a_cut_that_was_given_an_end_is_refused() -> None:
    data = encode(photo(90, 70), "JPEG")
    with pytest.raises(ImageRefused) as refused:
        open_image(data[: len(data) // 2] + b"\xff\xd9").pixels(Resize(32))
    assert refused.value.reason in (Reason.TRUNCATED, Reason.UNREADABLE)


def test_damaged_pixels_are_refused() -> None:
    data = bytearray(encode(photo(200, 200), "JPEG"))
    middle = len(data) // 2
    data[middle : middle + 40] = b"\xff\x00\xa5\x5a" * 10
    with pytest.raises(ImageRefused) as refused:
        open_image(bytes(data)).pixels(Resize(32))
    assert refused.value.reason is Reason.UNREADABLE


def same(data: bytes, as_data: bytes) -> bool:
    resize = Resize(48, "squash")
    return np.array_equal(open_image(data).pixels(resize), open_image(as_data).pixels(resize))


def test_harmless_oddities_are_read() -> None:
    data = encode(photo(48, 48), "JPEG", quality=95)
    assert same(data + b"camera notes after the end", data)
    assert same(data[:-2] + bytes(7) + data[-2:], data)  # padding before the end marker
    table = data.index(b"\xff\xdb")
    assert same(data[:table] + bytes(5) + data[table:], data)  # and before another marker
    revision = data.index(b"JFIF\0") + 5
    assert same(data[:revision] + b"\x07" + data[revision + 1 :], data)  # JFIF 7


def test_cut_after_a_harmless_oddity_is_refused() -> None:
    data = encode(photo(48, 48), "JPEG", quality=95)
    table = data.index(b"\xff\xdb")
    odd = data[:table] + bytes(5) + data[table:]
    for cut in (len(odd) * 3 // 4, len(odd) - 1):
        with pytest.raises(ImageRefused) as refused:
            open_image(odd[:cut]).pixels(Resize(48))
        assert refused.value.reason is Reason.TRUNCATED


def grey_jpeg(*sampling: int) -> bytes:
    """A mid-grey 48 × 48 JPEG with any chroma sampling: every block is the bits 00."""

    def segment(marker: int, content: bytes) -> bytes:
        return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content

    channels = b"".join(bytes([i, factor, 0]) for i, factor in enumerate(sampling, 1))
    one_code = bytes([1] + [0] * 15) + b"\0"  # one Huffman code, of one bit, for symbol 0
    columns, rows = max(f >> 4 for f in sampling), max(f & 15 for f in sampling)
    units = -(-48 // (8 * columns)) * -(-48 // (8 * rows))
    bits = 2 * units * sum((f >> 4) * (f & 15) for f in sampling)
    return b"".join(
        (
            b"\xff\xd8",
            segment(0xDB, b"\0" + b"\1" * 64),
            segment(0xC0, b"\x08\0\x30\0\x30" + bytes([len(sampling)]) + channels),
            segment(0xC4, b"\x00" + one_code + b"\x10" + one_code),
            segment(0xDA, bytes([3, 1, 0, 2, 0, 3, 0, 0, 63, 0])),
            bytes(bits // 8) + (bytes([0xFF >> bits % 8]) if bits % 8 else b""),
            b"\xff\xd9",
        )
    )


@pytest.mark.parametrize(
    ("sampling", "named"),
    [((0x22, 0x11, 0x11), True), ((0x42, 0x11, 0x11), False), ((0x31, 0x11, 0x11), False)],
    ids=["4:2:0", "4:1:0", "3:1:1"],
)
def test_unusual_chroma_sampling_is_read(sampling: tuple[int, ...], named: bool) -> None:
    data = grey_jpeg(*sampling)
    # What libjpeg-turbo's simple interface has no name for is left to Pillow.
    assert (decode_scaled(data, 48, 48, 8) is not None) is named
    assert np.array_equal(open_image(data).pixels(Resize(16)), np.full((16, 16, 3), 128))
    with pytest.raises(ImageRefused) as refused:
        open_image(data[:-4]).pixels(Resize(16))
    assert refused.value.reason is Reason.TRUNCATED
