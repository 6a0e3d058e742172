from __future__ import annotations

import io
import re
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

import foveate.image.decode as decode_module
from foveate.errors import ImageRefused, Reason
from foveate.image import Limits, Resize, ResizeRule, open_image
from foveate.image.modes import to_rgb
from foveate.image.resize import resample
from support.image_samples import encode, every_format, exif, photo

SAMPLES = every_format()


@pytest.mark.parametrize("name", SAMPLES)
def test_every_format_is_read(name: str) -> None:
    opened = open_image(SAMPLES[name])
    size = (9, 9) if name == "tiff-lab" else (60, 44)
    assert (opened.width, opened.height) == size
    pixels = opened.pixels(Resize(32))
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    assert len(opened.dhash()) == 32


def coarse(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Means of 8 × 8 pixels: dither and compression vanish, colours and their places remain."""
    blocks: NDArray[np.float64] = pixels.reshape(4, 8, 4, 8, 3).mean(axis=(1, 3))
    return blocks


@pytest.mark.parametrize(
    "name", [n for n in SAMPLES if "alpha" not in n and n not in ("webp-lossless", "tiff-lab")]
)
def test_every_format_shows_its_first_frame(name: str) -> None:
    image = photo(60, 44)
    if re.search("grey|1bit|16bit|float|pgm|pbm|pfm", name):
        image = image.convert("L")
    square = resample(image.convert("RGB"), Resize(32).box(60, 44), 32)
    difference = coarse(open_image(SAMPLES[name]).pixels(Resize(32))) - coarse(np.asarray(square))
    assert abs(difference).max() < (30 if "1bit" in name or "palette" in name else 15)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "MPO"])
@pytest.mark.parametrize("rule", ["crop", "squash"])
def test_exif_orientation(orientation: int, name: str, rule: ResizeRule) -> None:
    options = {"lossless": True} if name == "WEBP" else {"quality": 95}
    if name in ("PNG", "TIFF"):
        options = {}
    then = photo(90, 61, seed=1) if name == "MPO" else None
    data = encode(photo(90, 61), name, then=then, exif=exif(orientation), **options)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert upright.size == ((90, 61) if orientation < 5 else (61, 90))
    opened = open_image(data)
    assert (opened.width, opened.height) == upright.size
    resize = Resize(48, rule)
    expected = np.asarray(resample(to_rgb(upright), resize.box(*upright.size), 48))
    assert abs(opened.pixels(resize).astype(int) - expected).mean() < 0.5


@pytest.mark.parametrize("value", [0, 9, 77])
def test_an_orientation_that_is_none_is_upright(value: int) -> None:
    opened = open_image(encode(photo(60, 40), "JPEG", exif=exif(value)))
    assert (opened.width, opened.height) == (60, 40)


def test_damaged_exif_is_no_reason_to_refuse() -> None:
    for damage in (b"", b"MM", b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff" + b"\x12" * 40):
        data = encode(photo(60, 40), "JPEG", exif=b"Exif\0\0" + damage)
        assert open_image(data).pixels(Resize(16)).shape == (16, 16, 3)


def test_odd_metadata_does_not_warn() -> None:
    animated = SAMPLES["png-animated"]
    chunk = animated.index(b"acTL")
    no_frames = b"acTL" + bytes(4) + animated[chunk + 8 : chunk + 12]
    no_frames += zlib.crc32(no_frames).to_bytes(4, "big")
    odd = animated[:chunk] + no_frames + animated[chunk + 16 :]
    with pytest.warns(UserWarning, match="Invalid APNG"):
        Image.open(io.BytesIO(odd))

    palette = encode(photo(40, 40).quantize(8), "PNG", transparency=bytes(8))
    broken = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x09\0\0\0\xff\xff\0\0"
    for data in (odd, palette, encode(photo(40, 40), "JPEG", exif=broken)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert open_image(data).pixels(Resize(16)).shape == (16, 16, 3)


def test_warnings_of_others_are_still_seen() -> None:
    open_image(SAMPLES["png"])
    with pytest.warns(UserWarning, match="mine"):
        warnings.warn("mine", stacklevel=1)


def test_pixels_are_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    decodes = []
    for decoder in ("decode_scaled", "decode_pixels"):
        original = getattr(decode_module, decoder)
        monkeypatch.setattr(
            decode_module, decoder, lambda *a, f=original: decodes.append(a) or f(*a)
        )
    for name in ("PNG", "JPEG"):
        image = open_image(encode(photo(500, 500), name))
        assert decodes == []
        image.pixels(Resize(224))
        image.dhash()
        image.pixels(Resize(200, "squash"))
        assert len(decodes) == 1, name
        decodes.clear()


def test_a_failed_decode_fails_again() -> None:
    for name in ("png", "gif", "bmp", "tiff", "webp", "jpeg-cmyk", "jpeg", "qoi"):
        data = SAMPLES[name]
        with pytest.raises(ImageRefused):
            open_image(data[: len(data) * 3 // 4]).pixels(Resize(16))
    image = open_image(SAMPLES["png"][:-100])
    for _ in range(3):
        with pytest.raises(ImageRefused):
            image.pixels(Resize(16))
        with pytest.raises(ImageRefused):
            image.dhash()


def test_many_threads_give_what_one_gives() -> None:
    def work(data: bytes) -> bytes:
        image = open_image(data)
        return image.pixels(Resize(40)).tobytes() + image.dhash()

    samples = list(SAMPLES.values())
    alone = [work(data) for data in samples]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, samples * 6)) == alone * 6


@pytest.mark.parametrize(
    "limits", [Limits(max_bytes=9), Limits(max_pixels=60 * 44 - 1), Limits(max_side=59)]
)
@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "tiff"])
def test_limits_are_applied(name: str, limits: Limits) -> None:
    with pytest.raises(ImageRefused) as refused:
        open_image(SAMPLES[name], limits)
    assert refused.value.reason is Reason.TOO_LARGE
