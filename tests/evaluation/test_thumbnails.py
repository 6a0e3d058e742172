"""Tests of foveate.evaluation.thumbnails."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.evaluation import thumbnails
from foveate.evaluation.thumbnails import load_image_bytes, thumbnail


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def opened(url: str | None) -> Image.Image:
    assert url is not None
    assert url.startswith("data:image/jpeg;base64,")
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert (image.format, image.mode) == ("JPEG", "RGB")
    return image


def shown(data: bytes) -> Image.Image:
    return opened(thumbnail("x", lambda _: data))


def test_a_large_image_becomes_small_and_keeps_its_shape() -> None:
    image = shown(encoded(Image.new("RGB", (1600, 800), (200, 30, 30)), "JPEG"))
    assert image.size == (160, 80)
    np.testing.assert_allclose(np.asarray(image)[40, 80], (200, 30, 30), atol=6)


def test_a_small_image_is_not_enlarged() -> None:
    assert shown(encoded(Image.new("RGB", (20, 10)), "PNG")).size == (20, 10)


def test_a_rotated_photo_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.new("RGB", (400, 200)), "JPEG", exif=exif)
    assert shown(data).size == (80, 160)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK"])
def test_other_colour_modes(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert shown(encoded(Image.new("RGB", (30, 30)).convert(mode), kind)).size == (30, 30)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    pixels = np.full((20, 20), 128 * 256, np.uint16)
    image = shown(encoded(Image.fromarray(pixels), "PNG"))
    np.testing.assert_allclose(np.asarray(image)[10, 10], 128, atol=3)


def test_transparency_is_on_white_paper() -> None:
    image = shown(encoded(Image.new("RGBA", (20, 20), (0, 0, 0, 0)), "PNG"))
    assert np.asarray(image).min() > 250


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no image",
        encoded(Image.new("RGB", (300, 300)), "JPEG")[:400],
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    ],
)
def test_what_is_not_a_whole_image_gives_none(data: bytes) -> None:
    assert thumbnail("x", lambda _: data) is None


def test_too_many_pixels_give_none() -> None:
    # 110 megapixels of one bit each: the file is small, the image is not.
    bomb = encoded(Image.new("1", (11_000, 10_001)), "PNG")
    assert len(bomb) < 100_000
    assert thumbnail("x", lambda _: bomb) is None


def test_too_many_bytes_give_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.new("RGB", (20, 20)), "PNG"))
    assert thumbnail(str(path), load_image_bytes) is not None
    monkeypatch.setattr(thumbnails, "MAX_BYTES", 10)
    assert thumbnail(str(path), load_image_bytes) is None
    assert thumbnail(str(path), lambda p: Path(p).read_bytes()) is None


def test_a_missing_file_gives_none(tmp_path: Path) -> None:
    assert thumbnail(str(tmp_path / "gone.jpg"), load_image_bytes) is None
