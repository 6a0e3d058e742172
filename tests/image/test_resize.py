from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from foveate.errors import ImageRefused, Reason, SettingsError
from foveate.image import Resize, open_image, resize_pixels
from support.image_samples import encode, photo


@pytest.mark.parametrize(
    ("resize", "size", "box"),
    [
        (Resize(224), (640, 480), (110, 30, 530, 450)),  # 7/8 of 480 is 420
        (Resize(224), (480, 640), (30, 110, 450, 530)),
        (Resize(224), (300, 224), (52, 14, 248, 210)),
        (Resize(224), (300, 223), (38.5, 0, 261.5, 223)),  # short of the resolution: to the edge
        (Resize(224), (1, 30_000), (0, 14_999.5, 1, 15_000.5)),
        (Resize(224, "squash"), (640, 480), (0, 0, 640, 480)),
        (Resize(224, "squash"), (10, 480), (0, 0, 10, 480)),
    ],
)
def test_box(resize: Resize, size: tuple[int, int], box: tuple[float, float, float, float]) -> None:
    assert resize.box(*size) == box


@given(
    st.integers(1, 70_000),
    st.integers(1, 70_000),
    st.integers(1, 1024),
    st.sampled_from(["crop", "squash"]),
)
def test_box_is_inside_centred_and_never_empty(
    width: int, height: int, resolution: int, rule: str
) -> None:
    left, upper, right, lower = Resize(resolution, rule).box(width, height)  # type: ignore[arg-type]
    assert 0 <= left < right <= width
    assert 0 <= upper < lower <= height
    assert left + right == width
    assert upper + lower == height


@pytest.mark.parametrize("resolution", [0, -224])
def test_resolution_below_one(resolution: int) -> None:
    with pytest.raises(SettingsError, match=str(resolution)):
        Resize(resolution)


def test_unknown_rule() -> None:
    with pytest.raises(SettingsError, match="‘fit’; use ‘crop’ or ‘squash’"):
        Resize(224, "fit")  # type: ignore[arg-type]


def framed(width: int, height: int, border: int) -> Image.Image:
    """Blue, with a red frame `border` pixels wide."""
    image = Image.new("RGB", (width, height), (255, 0, 0))
    image.paste((0, 0, 255), (border, border, width - border, height - border))
    return image


@pytest.mark.parametrize("name", ["PNG", "JPEG"])
@pytest.mark.parametrize("size", [(800, 512), (512, 800), (512, 512)])
def test_crop_leaves_a_sixteenth_of_the_short_side_at_each_edge(
    name: str, size: tuple[int, int]
) -> None:
    options = {"quality": 95, "subsampling": 0} if name == "JPEG" else {}
    # 512 / 16 = 32 pixels are cut off; a frame of 24 is gone, one of 64 is left in part.
    gone = open_image(encode(framed(*size, 24), name, **options)).pixels(Resize(224))
    assert gone[..., 0].max() <= 12
    left = open_image(encode(framed(*size, 64), name, **options)).pixels(Resize(224)).astype(int)
    rows, columns = left[:, 112, 0] > 128, left[112, :, 0] > 128
    short_side_edge = round((64 - 32) / (512 * 7 / 8) * 224)
    across = columns if size[0] == 512 else rows
    assert across[:short_side_edge].all()
    assert across[-short_side_edge:].all()
    assert not across[short_side_edge:-short_side_edge].any()


@pytest.mark.parametrize("name", ["PNG", "JPEG"])
def test_squash_shows_the_whole_image(name: str) -> None:
    options = {"quality": 95, "subsampling": 0} if name == "JPEG" else {}
    data = encode(framed(896, 448, 64), name, **options)
    red = open_image(data).pixels(Resize(224, "squash"))[..., 0] > 128
    assert red[112].nonzero()[0].tolist() == [*range(16), *range(208, 224)]
    assert red[:, 112].nonzero()[0].tolist() == [*range(32), *range(192, 224)]


def test_an_image_of_the_resolution_is_not_touched_by_squash() -> None:
    image = photo(64, 64)
    pixels = open_image(encode(image, "PNG")).pixels(Resize(64, "squash"))
    assert np.array_equal(pixels, np.asarray(image))


def test_shrinking_does_not_alias() -> None:
    stripes = np.zeros((448, 448, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels = open_image(encode(Image.fromarray(stripes), "PNG")).pixels(Resize(64))
    assert abs(pixels.astype(int) - 127).max() <= 12


@pytest.mark.parametrize("size", [(1, 1), (1, 30_000), (30_000, 1), (3, 7), (2, 224)])
@pytest.mark.parametrize("name", ["PNG", "JPEG"])
@pytest.mark.parametrize("rule", ["crop", "squash"])
@pytest.mark.parametrize("resolution", [1, 5, 224])
def test_tiny_and_thin_images(size: tuple[int, int], name: str, rule: str, resolution: int) -> None:
    data = encode(Image.new("RGB", size, (200, 100, 50)), name, quality=95)
    pixels = open_image(data).pixels(Resize(resolution, rule))  # type: ignore[arg-type]
    assert pixels.shape == (resolution, resolution, 3)
    assert abs(pixels.astype(int) - [200, 100, 50]).max() <= 6


def test_crop_takes_the_centre() -> None:
    pixels = np.zeros((256, 512, 3), np.uint8)
    pixels[:, 128:384] = 200
    assert (resize_pixels(pixels, Resize(224)) == 200).all()
    assert resize_pixels(pixels, Resize(224, "squash")).min() == 0


def test_a_square_of_the_right_size_keeps_its_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize_pixels(pixels, Resize(64, "squash")), pixels)


def test_any_memory_layout() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (90, 80, 3), dtype=np.uint8)
    flipped = pixels[::-1, :, ::-1]
    np.testing.assert_array_equal(
        resize_pixels(flipped, Resize(64)), resize_pixels(flipped.copy(), Resize(64))
    )


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((5, 5, 3), np.float32),
    ],
)
def test_anything_else_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ImageRefused) as refused:
        resize_pixels(pixels, Resize(64))
    assert refused.value.reason is Reason.UNSUPPORTED
