from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from foveate.image import Resize, open_image
from foveate.image.dhash import difference_hash
from support.image_samples import encode, exif, photo


def hash_of(image: Image.Image, name: str = "PNG", **options: object) -> bytes:
    return open_image(encode(image, name, **options)).dhash()


def distance(a: bytes, b: bytes) -> int:
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_count()


def test_a_bit_says_whether_it_becomes_brighter_to_the_right() -> None:
    levels = np.zeros((16, 17), np.uint8)
    levels[0] = range(17)
    levels[2, 16] = 1
    levels[15, 1:] = 9
    rows = np.frombuffer(difference_hash(Image.fromarray(levels), (0, 0, 17, 16)), ">u2").tolist()
    assert rows == [0xFFFF, 0, 1, *[0] * 12, 0x8000]


def test_a_hash_is_of_the_whole_image() -> None:
    image = Image.new("L", (1700, 1600), 128)
    before = hash_of(image)
    image.paste(0, (0, 0, 100, 100))
    after = hash_of(image)
    assert len(before) == 32
    assert distance(before, after) == 1


@pytest.mark.parametrize("seed", range(4))
def test_copies_are_within_a_few_bits(seed: int) -> None:
    image = photo(600, 420, seed)
    original = hash_of(image)
    copies = {
        "jpeg": hash_of(image, "JPEG", quality=90),
        "small jpeg": hash_of(image, "JPEG", quality=40),
        "webp": hash_of(image, "WEBP", quality=70),
        "half the size": hash_of(image.resize((300, 210)), "JPEG"),
        "twice the size": hash_of(image.resize((1200, 840)), "JPEG"),
        "darker": hash_of(image.point(lambda v: int(v * 0.7)), "JPEG"),
    }
    distances = {how: distance(original, copy) for how, copy in copies.items()}
    assert max(distances.values()) <= 12, distances


def test_other_images_differ_in_many_bits() -> None:
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 256, (8, 20, 30, 3), np.uint8)
    images = [Image.fromarray(p).resize((300, 200), Image.Resampling.BICUBIC) for p in patches]
    hashes = [hash_of(image) for image in images]
    pairs = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(pairs) > 80
    assert distance(hashes[0], hash_of(ImageOps.mirror(images[0]))) > 80


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["PNG", "TIFF", "JPEG"])
def test_a_hash_is_of_the_upright_image(orientation: int, name: str) -> None:
    stored = photo(500, 333)
    options = {"quality": 98, "subsampling": 0} if name == "JPEG" else {}
    data = encode(stored, name, exif=exif(orientation), **options)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    allowed = 3 if name == "JPEG" else 0  # the scaled decode against the full one
    assert distance(open_image(data).dhash(), hash_of(upright)) <= allowed


@pytest.mark.parametrize("name", ["PNG", "JPEG"])
def test_a_hash_does_not_depend_on_the_resolution_asked_for(name: str) -> None:
    data = encode(photo(950, 500), name, quality=80)
    alone = open_image(data).dhash()
    for resolution in (64, 224, 448, 600):
        image = open_image(data)
        image.pixels(Resize(resolution))
        assert image.dhash() == alone


def test_a_flat_image_has_no_edges() -> None:
    assert hash_of(Image.new("RGB", (40, 30), (9, 200, 77)), "JPEG") == bytes(32)
