from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from foveate.catalog import Catalog, Entry, Facts, ImageRow, find_duplicates
from foveate.catalog.duplicates import (
    BLOCK,
    MAX_RARE_SHARE,
    MIN_RARE_BITS,
    connected_groups,
)
from foveate.errors import Reason
from foveate.files import FileEntry, digest
from foveate.image import open_image
from foveate.settings import Settings

MAX_BITS = Settings().near_duplicate_bits


def rare_bits(bits: NDArray[np.uint8]) -> int:
    return int(min(bits.sum(), 256 - bits.sum()))


def brute_force(bits: NDArray[np.uint8], max_bits: int) -> NDArray[np.int64]:
    """Union-find over all pairs; bits are (n, 256) of 0 and 1."""
    root = np.arange(len(bits))
    for i in range(len(bits)):
        for j in range(i):
            rare = [rare_bits(bits[i]), rare_bits(bits[j])]
            apart = int((bits[i] != bits[j]).sum())
            is_near = apart <= max_bits and apart * MAX_RARE_SHARE <= sum(rare)
            if is_near and min(rare) >= MIN_RARE_BITS:
                root[root == root[j]] = root[i]
    return root


def partition(numbers: NDArray[np.int64]) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(numbers == n).tolist()) for n in set(numbers.tolist())}


def packed(bits: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.packbits(bits, axis=1).view(np.uint64)


def hashes_around(
    rng: np.random.Generator, centres: int, n: int, flips: int, share: float = 0.5
) -> NDArray[np.uint8]:
    bits = (rng.random((centres, 256)) < share).astype(np.uint8)
    bits = bits[rng.integers(0, centres, n)]
    for row in bits:
        row[rng.integers(0, 256, rng.integers(0, flips + 1))] ^= 1
    return bits


@settings(deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(0, 30),
    st.sampled_from([0.02, 0.07, 0.15, 0.5, 0.93]),
    st.integers(0, 40),
)
def test_groups_are_the_connected_components(
    seed: int, max_bits: int, share: float, flips: int
) -> None:
    bits = hashes_around(np.random.default_rng(seed), 4, 24, flips, share)
    with pytest.MonkeyPatch.context() as patch:
        # Several blocks, and several windows for each.
        patch.setattr("foveate.catalog.duplicates.BLOCK", 2)
        groups = connected_groups(packed(bits), max_bits=max_bits)
    assert partition(groups) == partition(brute_force(bits, max_bits))


def test_more_hashes_than_fit_a_block() -> None:
    rng = np.random.default_rng(0)
    n = 5 * BLOCK
    bits = hashes_around(rng, 40, n, 3)
    groups = connected_groups(packed(bits), max_bits=MAX_BITS)
    assert len(set(groups.tolist())) == 40
    apart = (bits != bits[0]).sum(axis=1)
    np.testing.assert_array_equal(groups == groups[0], apart <= MAX_BITS)


def test_equal_hashes_in_great_number_are_one_group() -> None:
    bits = hashes_around(np.random.default_rng(0), 1, 50_000, 0)
    assert set(connected_groups(packed(bits), max_bits=0).tolist()) == {0}


@pytest.mark.parametrize("max_bits", [0, 1, 5, 20])
def test_the_threshold_is_inclusive(max_bits: int) -> None:
    bits = np.tile(np.arange(256, dtype=np.uint8) % 2, (3, 1))
    bits[1, :max_bits] ^= 1
    bits[2, 128 : 128 + max_bits + 1] ^= 1
    groups = connected_groups(packed(bits), max_bits=max_bits)
    assert groups[0] == groups[1]
    assert groups[0] != groups[2]


def test_a_chain_of_copies_stays_together() -> None:
    bits = np.tile(np.arange(256, dtype=np.uint8) % 2, (12, 1))
    for step, row in enumerate(bits):
        row[: 10 * step] ^= 1
    assert len(set(connected_groups(packed(bits), max_bits=10).tolist())) == 1
    assert len(set(connected_groups(packed(bits), max_bits=9).tolist())) == 12


@pytest.mark.parametrize("value", [0, 1])
def test_flat_images_are_not_copies_of_each_other(value: int) -> None:
    bits = np.full((4, 256), value, np.uint8)
    bits[2:, 5] ^= 1
    assert len(set(connected_groups(packed(bits), max_bits=64).tolist())) == 4


def test_no_hashes_no_groups() -> None:
    assert connected_groups(np.zeros((0, 4), np.uint64), max_bits=5).shape == (0,)


def scene(seed: int, size: int = 256) -> Image.Image:
    """Soft shapes of random places and colours: a photo as far as a hash is concerned."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (size, size), tuple(rng.integers(60, 200, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y = rng.integers(-40, size, 2).tolist()
        w, h = rng.integers(10, 110, 2).tolist()
        draw.ellipse((x, y, x + w, y + h), fill=tuple(rng.integers(0, 255, 3).tolist()))
    return image.filter(ImageFilter.GaussianBlur(2))


def saved(image: Image.Image, kind: str = "PNG", **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def row(path: str, label: str | None, data: bytes) -> ImageRow:
    opened = open_image(data)
    facts = Facts(digest(data), opened.width, opened.height, opened.dhash())
    return ImageRow(Entry(FileEntry(path, path, len(data), "1"), label, None), facts)


def changed(image: Image.Image) -> Mapping[str, bytes]:
    """What happens to a picture on its way through the web."""
    size = image.size[0]
    return {
        "JPEG": saved(image, "JPEG", quality=60),
        "smaller": saved(image.resize((size * 7 // 10,) * 2, Image.Resampling.LANCZOS)),
        "brighter": saved(image.point(lambda level: min(255, round(level * 1.1)))),
        "darker": saved(image.point(lambda level: round(level * 0.9))),
    }


def test_what_the_web_does_to_a_picture_leaves_it_a_near_duplicate() -> None:
    rows = [row(f"{i}", "a", saved(scene(i))) for i in range(6)]
    for i in range(6):
        rows += [row(f"{i}-{name}", "a", data) for name, data in changed(scene(i)).items()]
    duplicates = find_duplicates(Catalog(tuple(rows)), max_bits=MAX_BITS)
    groups = {frozenset(group) for group in duplicates.groups()}
    assert groups == {
        frozenset(r.facts.id for r in rows if r.path.split("-")[0] == str(i)) for i in range(6)
    }
    assert (duplicates.exact, duplicates.near, duplicates.contradictory) == (0, 24, ())


def test_a_mirrored_or_turned_picture_is_another() -> None:
    turned = [Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_90]
    pictures = [scene(0), *(scene(0).transpose(how) for how in turned)]
    rows = [row(f"{i}", "a", saved(picture)) for i, picture in enumerate(pictures)]
    assert find_duplicates(Catalog(tuple(rows)), max_bits=MAX_BITS).groups() == []


def test_solid_colours_are_different_pictures() -> None:
    colours = ["white", "black", "red", "navy"]
    rows = [row(name, name, saved(Image.new("RGB", (64, 64), name))) for name in colours]
    gradient = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    rows += [row(str(i), "g", saved(Image.fromarray(gradient + np.uint8(i)))) for i in range(3)]
    assert find_duplicates(Catalog(tuple(rows)), max_bits=MAX_BITS).groups() == []


def test_files_with_the_same_bytes_are_exact_duplicates() -> None:
    one, two = saved(scene(1)), saved(scene(2))
    rows = [row("a/1", "a", one), row("a/2", "a", one), row("3", None, one), row("b/1", "b", two)]
    duplicates = find_duplicates(Catalog(tuple(rows)), max_bits=MAX_BITS)
    assert (duplicates.exact, duplicates.near, duplicates.contradictory) == (2, 0, ())
    assert duplicates.groups() == []
    assert set(duplicates.group) == {digest(one), digest(two)}


def test_an_image_under_two_labels_is_a_contradiction() -> None:
    one, two = saved(scene(1)), saved(scene(2))
    rows = [row("a/1", "a", one), row("b/1", "b", one), row("a/2", "a", two), row("a/3", "a", two)]
    duplicates = find_duplicates(Catalog(tuple(rows)), max_bits=MAX_BITS)
    assert duplicates.contradictory == (digest(one),)


def test_refused_images_have_no_duplicates() -> None:
    file = FileEntry("a/1", "a/1", 3, "1")
    refused = ImageRow(Entry(file, "a", None), Facts("0" * 64, reason=Reason.EMPTY, detail="-"))
    duplicates = find_duplicates(Catalog((refused, refused)), max_bits=MAX_BITS)
    assert (duplicates.group, duplicates.exact, duplicates.near) == ({}, 0, 0)
