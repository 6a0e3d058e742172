from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from foveate.image import OpenedImage, Resize, open_image
from foveate.image.modes import to_rgb
from support.image_samples import encode, photo, tiff

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def grey(image: Image.Image) -> NDArray[np.uint8]:
    rgb = np.asarray(to_rgb(image))
    assert rgb.shape == (*image.size[::-1], 3)
    assert np.array_equal(rgb[..., 0], rgb[..., 1])
    assert np.array_equal(rgb[..., 0], rgb[..., 2])
    return rgb[..., 0]


def read_exactly(data: bytes) -> NDArray[np.uint8]:
    """All pixels of a square image as the room gives them, unscaled."""
    image: OpenedImage = open_image(data)
    return image.pixels(Resize(image.width, "squash"))


def test_rgb_is_kept_as_it_is() -> None:
    image = photo(20, 10)
    assert to_rgb(image) is image


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_16_bit_grey_is_rounded_to_8(dtype: str) -> None:
    levels = np.array([[0, 128, 129, 257, 32767, 65407, 65535]], dtype=dtype)
    mode = "I;16" if dtype == "<u2" else "I;16B"
    image = Image.frombytes(mode, (7, 1), levels.tobytes())
    assert grey(image).tolist() == [[0, 0, 1, 1, 127, 255, 255]]


def test_32_bit_grey_in_the_range_of_16_bit_is_16_bit() -> None:
    assert grey(Image.fromarray(RAMP.astype(np.int32) * 257)).tolist() == RAMP.tolist()
    assert grey(Image.fromarray(np.full((2, 2), 257, np.int32))).max() == 1


@pytest.mark.parametrize("offset", [-300, 70_000, 2**31 - 256])
def test_other_whole_numbers_are_stretched(offset: int) -> None:
    levels = (RAMP.astype(np.int64) + offset).astype(np.int32)
    assert grey(Image.fromarray(levels)).tolist() == RAMP.tolist()


def test_float_grey_is_a_share_of_white() -> None:
    assert grey(Image.fromarray(RAMP / np.float32(255))).tolist() == RAMP.tolist()
    assert grey(Image.fromarray(np.full((2, 2), 0.5, np.float32))).max() == 128


def test_other_floats_are_stretched() -> None:
    assert grey(Image.fromarray(RAMP * np.float32(1e30) - 7)).tolist() == RAMP.tolist()
    assert grey(Image.fromarray(np.full((2, 2), 7, np.float32))).max() == 0
    widest = np.array([[-3e38, 0, 3e38]], np.float32)
    assert grey(Image.fromarray(widest)).tolist() == [[0, 128, 255]]


def test_floats_that_are_no_numbers_become_black() -> None:
    levels = np.array([[np.nan, np.inf, 0.25, 1]], np.float32)
    assert grey(Image.fromarray(levels)).tolist() == [[64, 64, 64, 255]]
    assert grey(Image.fromarray(np.full((2, 2), np.nan, np.float32))).max() == 0


def test_transparent_pixels_become_white() -> None:
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = (200, 0, 0, 255)
    rgba[0, 1] = (200, 0, 0, 51)
    rgb = np.asarray(to_rgb(Image.fromarray(rgba)))
    assert rgb.tolist() == [[[200, 0, 0], [244, 204, 204]], [[255] * 3] * 2]


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBa"])
def test_every_kind_of_alpha(mode: str) -> None:
    rgba = Image.new("RGBA", (3, 3), (0, 0, 0, 0))
    rgba.putpixel((1, 1), (0, 0, 0, 255))
    image = rgba.convert("LA").convert(mode) if mode == "La" else rgba.convert(mode)
    expected = np.full((3, 3), 255)
    expected[1, 1] = 0
    assert grey(image).tolist() == expected.tolist()


def test_palette_with_a_transparent_colour() -> None:
    image = Image.fromarray(RAMP % 3).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    red, green, blue = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    for transparency, expected in (
        (1, [red, (255, 255, 255), blue]),
        (bytes([255, 255, 0]), [red, green, (255, 255, 255)]),
    ):
        pixels = read_exactly(encode(image, "PNG", transparency=transparency))
        assert [tuple(p) for p in pixels[0, :3].tolist()] == expected


def test_one_bit() -> None:
    bits = Image.fromarray(RAMP > 99)
    assert bits.mode == "1"
    assert grey(bits).tolist() == np.where(RAMP > 99, 255, 0).tolist()


def test_cmyk_and_ycbcr() -> None:
    image = photo(30, 30)
    for mode in ("CMYK", "YCbCr"):
        difference = np.asarray(to_rgb(image.convert(mode)), int) - np.asarray(image, int)
        assert abs(difference).max() <= 3, mode


def test_lab() -> None:
    lab = np.array([[(255, 0, 0), (0, 0, 0), (136, 208, 195)]], np.uint8)  # white, black, blue
    rgb = np.asarray(to_rgb(Image.frombytes("LAB", (3, 1), lab.tobytes())))[0]
    assert abs(rgb[:2].astype(int) - [[255] * 3, [0] * 3]).max() <= 1
    assert rgb[2].argmax() == 2


def test_tiff_16_bit_rgb() -> None:
    levels = np.stack([RAMP, RAMP[::-1], RAMP.T], axis=-1).astype("<u2") * 257
    assert np.array_equal(read_exactly(tiff(levels, photometric=2)), levels // 257)


def test_tiff_16_bit_grey_where_white_is_zero() -> None:
    levels = RAMP.astype("<u2") * 257
    assert np.array_equal(read_exactly(tiff(levels, photometric=1))[..., 0], RAMP)
    assert np.array_equal(read_exactly(tiff(levels, photometric=0))[..., 0], 255 - RAMP)


def test_tiff_12_bit_grey_has_its_own_white() -> None:
    # Two samples in three bytes, the high bits first: 0xfff and 0x000.
    packed = np.tile(np.array([0xFF, 0xF0, 0x00], np.uint8), (2, 1))
    data = bytearray(tiff(packed, photometric=1, bits=12))
    width = data.index(b"\x00\x01\x04\x00\x01\x00\x00\x00") + 8  # tag 256, of type 4, one value
    data[width] = 2
    assert read_exactly(bytes(data))[..., 0].tolist() == [[255, 0], [255, 0]]


def test_tiff_premultiplied_alpha() -> None:
    levels = np.zeros((4, 4, 2), np.uint8)
    levels[0, 0] = (100, 255)
    levels[0, 1] = (51, 51)
    pixels = read_exactly(tiff(levels, photometric=1, extra=1))[..., 0]
    assert pixels[0].tolist() == [100, 255, 255, 255]
