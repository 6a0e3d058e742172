from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.catalog import (
    Catalog,
    Duplicates,
    Entry,
    Facts,
    ImageRow,
    Side,
    Split,
    find_duplicates,
    split_as_given,
    split_by_image,
    split_by_subfolder,
)
from foveate.errors import Reason, TooFewImages
from foveate.files import FileEntry, digest

Sizes = dict[str, list[int]]
"""Label → how many images each of its groups of near duplicates has."""


def image_row(
    path: str, label: str | None, content: str, side: Side | None = None, look: str = ""
) -> ImageRow:
    """An image with some contents, near duplicates of which have the same look."""
    dhash = bytes.fromhex(digest((look or content).encode()))
    facts = Facts(digest(content.encode()), 8, 8, dhash)
    return ImageRow(Entry(FileEntry(path, path, 5, "1"), label, side), facts)


def made(rows: list[ImageRow]) -> tuple[Catalog, Duplicates]:
    catalog = Catalog(tuple(rows))
    return catalog, find_duplicates(catalog, max_bits=10)


def grouped(sizes: Sizes) -> list[ImageRow]:
    return [
        image_row(f"{label}/{g}-{i}.jpg", label, f"{label} {g} {i}", look=f"{label} {g}")
        for label, groups in sizes.items()
        for g, size in enumerate(groups)
        for i in range(size)
    ]


def shares(catalog: Catalog, split: Split) -> dict[str, float]:
    test = Counter(row.entry.label for row in catalog.labelled if row.facts.id in split.test)
    return {label: test[label] / n for label, n in catalog.label_counts().items()}


SIZES = st.dictionaries(
    st.sampled_from("abcd"),
    st.lists(st.integers(1, 9), min_size=2, max_size=12),
    min_size=1,
)
SHARES = st.floats(0.05, 0.95)
SEEDS = st.integers(0, 1000)


@settings(deadline=None)
@given(SIZES, SHARES, SEEDS, st.randoms(use_true_random=False))
def test_a_split_keeps_its_promises(
    sizes: Sizes, share: float, seed: int, shuffler: random.Random
) -> None:
    rows = grouped(sizes)
    catalog, duplicates = made(rows)
    split = split_by_image(catalog, duplicates, test_share=share, seed=seed)

    assert set(split.train).isdisjoint(split.test)
    assert {*split.train, *split.test} == {row.facts.id for row in rows}
    assert split.train == tuple(sorted(split.train))
    assert split.test == tuple(sorted(split.test))
    assert split.left_out == ()
    for group in duplicates.groups():
        assert len({split.sides()[image] for image in group}) == 1
    for label, tested in shares(catalog, split).items():
        n = sum(sizes[label])
        assert 0 < tested < 1
        # Half an image more: shares are rounded to whole images.
        assert abs(tested * n - share * n) <= max(sizes[label]) + 0.5

    moved = [
        replace(row, entry=replace(row.entry, file=FileEntry(f"/new/{i}", f"{i}", 1, "2")))
        for i, row in enumerate(rows)
    ]
    shuffler.shuffle(moved)
    assert split_by_image(*made(moved), test_share=share, seed=seed) == split


def test_the_default_share_of_single_images_is_exact() -> None:
    catalog, duplicates = made(grouped({"a": [1] * 100, "b": [1] * 40}))
    for seed in range(10):
        split = split_by_image(catalog, duplicates, test_share=0.25, seed=seed)
        assert shares(catalog, split) == {"a": 0.25, "b": 0.25}


def test_single_images_fill_what_groups_leave_open() -> None:
    catalog, duplicates = made(grouped({"a": [5, 3, 2] + [1] * 6, "b": [7, 1, 1, 1, 1, 1]}))
    for seed in range(20):
        split = split_by_image(catalog, duplicates, test_share=0.25, seed=seed)
        assert shares(catalog, split) == {"a": 0.25, "b": 0.25}


def test_groups_larger_than_the_share_are_drawn_by_seed_too() -> None:
    catalog, duplicates = made(grouped({"a": [5] * 6}))
    splits = [split_by_image(catalog, duplicates, test_share=0.1, seed=s) for s in range(20)]
    assert {len(split.test) for split in splits} == {5}
    assert len(set(splits)) > 3


def test_the_seed_makes_the_split() -> None:
    catalog, duplicates = made(grouped({"a": [1] * 30, "b": [1] * 30}))
    splits = {split_by_image(catalog, duplicates, test_share=0.5, seed=s) for s in range(10)}
    assert len(splits) == 10


def test_every_image_is_as_likely_to_be_tested_on() -> None:
    catalog, duplicates = made(grouped({"a": [1] * 12, "b": [2] * 6}))
    seen: Counter[str] = Counter()
    n = 600
    for seed in range(n):
        seen.update(split_by_image(catalog, duplicates, test_share=1 / 3, seed=seed).test)
    expected, deviation = n / 3, (n * 1 / 3 * 2 / 3) ** 0.5
    assert all(abs(seen[row.facts.id] - expected) < 4.5 * deviation for row in catalog.rows)


@pytest.mark.parametrize("split_by", [split_by_image, split_by_subfolder])
def test_only_usable_images_with_a_label_are_split(split_by: object) -> None:
    rows = grouped({"a": [1, 1], "b": [1, 1]})
    loose = image_row("loose.jpg", None, "loose")
    refused = replace(rows[0], facts=Facts("f" * 64, reason=Reason.EMPTY, detail="-"))
    catalog, duplicates = made([*rows, loose, refused])
    split = split_by(catalog, duplicates, test_share=0.5, seed=0)  # type: ignore[operator]
    assert {*split.train, *split.test} == {row.facts.id for row in rows}


def test_a_label_with_one_image_is_named() -> None:
    catalog, duplicates = made(grouped({"cat": [1, 1], "striped": [1]}))
    with pytest.raises(TooFewImages, match=r"‘striped’ has 1 image;.*--exclude striped"):
        split_by_image(catalog, duplicates, test_share=0.25, seed=0)


def test_a_label_with_copies_of_one_image_is_named() -> None:
    catalog, duplicates = made(grouped({"cat": [1, 1], "dog": [3]}))
    with pytest.raises(TooFewImages, match="‘dog’ has 3 images, but only 1 distinct image;"):
        split_by_image(catalog, duplicates, test_share=0.25, seed=0)


def test_a_label_with_nothing_of_its_own_is_named() -> None:
    rows = grouped({"a": [1, 1, 1]})
    copies = [replace(row, entry=replace(row.entry, label="b")) for row in rows]
    with pytest.raises(TooFewImages, match="‘b’ has 3 images, all of them copies of images with"):
        split_by_image(*made([*rows, *copies]), test_share=0.25, seed=0)


@settings(deadline=None)
@given(SEEDS)
def test_an_image_under_two_labels_is_on_one_side(seed: int) -> None:
    rows = grouped({"a": [1, 2, 1, 1], "b": [1, 1, 3, 1]})
    both = [image_row(f"{label}/both.jpg", label, "both") for label in "ab"]
    copy = image_row("b/copy.jpg", "b", "copy", look="a 1")
    catalog, duplicates = made([*rows, *both, copy])
    split = split_by_image(catalog, duplicates, test_share=0.4, seed=seed)
    assert set(split.train).isdisjoint(split.test)
    assert {*split.train, *split.test} == {row.facts.id for row in catalog.rows}
    group = {digest(text.encode()) for text in ("a 1 0", "a 1 1", "copy")}
    assert group <= set(split.train) or group <= set(split.test)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 6), min_size=2, max_size=8),
    st.lists(st.integers(1, 6), min_size=2, max_size=8),
    SHARES,
    SEEDS,
)
def test_subfolders_stay_whole(one: list[int], two: list[int], share: float, seed: int) -> None:
    rows = [
        image_row(f"{label}/{day}/camera {i % 2}/{i}.jpg", label, f"{label} {day} {i}")
        for label, days in (("a", one), ("b", two))
        for day, size in enumerate(days)
        for i in range(size)
    ]
    catalog, duplicates = made(rows)
    split = split_by_subfolder(catalog, duplicates, test_share=share, seed=seed)
    side = split.sides()
    assert side.keys() == {row.facts.id for row in rows}
    days = {row.path.rsplit("/", 2)[0] for row in rows}
    for day in days:
        assert len({side[row.facts.id] for row in rows if row.path.startswith(f"{day}/")}) == 1
    assert all(0 < tested < 1 for tested in shares(catalog, split).values())


def test_subfolders_that_share_a_copy_stay_together() -> None:
    rows = [image_row(f"a/{day}/{i}.jpg", "a", f"{day} {i}") for day in "1234" for i in range(3)]
    rows.append(image_row("a/2/copy.jpg", "a", "copy", look="1 0"))
    rows += grouped({"b": [1, 1]})
    for seed in range(20):
        split = split_by_subfolder(*made(rows), test_share=0.5, seed=seed)
        side = {row.path: split.sides()[row.facts.id] for row in rows}
        assert side["a/1/1.jpg"] == side["a/2/1.jpg"] == side["a/2/copy.jpg"]


def test_files_beside_the_subfolders_are_dealt_out_one_by_one() -> None:
    rows = [image_row(f"{label}/{i}.jpg", label, f"{label}{i}") for label in "ab" for i in range(8)]
    catalog, duplicates = made(rows)
    split = split_by_subfolder(catalog, duplicates, test_share=0.25, seed=0)
    assert shares(catalog, split) == {"a": 0.25, "b": 0.25}


def test_a_table_has_its_subfolders_wherever_they_are() -> None:
    rows = [
        image_row(f"/data/images/{day}/{i}.jpg", "ab"[day % 2], f"{day} {i}")
        for day in range(8)
        for i in range(3)
    ]
    split = split_by_subfolder(*made(rows), test_share=0.25, seed=0)
    test = {row.path.split("/")[3] for row in rows if row.facts.id in split.test}
    train = {row.path.split("/")[3] for row in rows if row.facts.id in split.train}
    assert (len(test), len(train), test & train) == (2, 6, set())


def test_a_label_with_one_subfolder_is_named() -> None:
    rows = [image_row(f"a/1/{i}.jpg", "a", f"{i}") for i in range(4)]
    with pytest.raises(TooFewImages, match="‘a’ has 4 images, but only 1 subfolder;"):
        split_by_subfolder(*made(rows), test_share=0.25, seed=0)


def test_a_given_split_is_taken_as_it_is() -> None:
    rows = [
        image_row("1", "a", "one", "train"),
        image_row("2", "a", "two", "test"),
        image_row("3", "b", "three", "train"),
        image_row("4", "b", "four"),
    ]
    one, two, three, four = (row.facts.id for row in rows)
    split = split_as_given(*made(rows))
    assert set(split.train) == {one, three, four}
    assert (split.test, split.left_out) == ((two,), ())


def test_a_training_copy_of_a_test_image_is_left_out() -> None:
    rows = [
        image_row("1", "a", "one", "train"),
        image_row("2", "a", "near", "train", look="two"),
        image_row("3", "a", "two", "test"),
        image_row("4", "b", "two", "train"),
        image_row("5", "b", "five", "train"),
        image_row("6", "b", "six", "test"),
    ]
    one, near, two, _, five, six = (row.facts.id for row in rows)
    split = split_as_given(*made(rows))
    assert set(split.train) == {one, five}
    assert set(split.test) == {two, six}
    assert split.left_out == (near,)
    assert near not in split.sides()


def test_a_given_split_needs_both_sides() -> None:
    rows = [image_row("1", "a", "one", "train"), image_row("2", "b", "two", "train")]
    with pytest.raises(TooFewImages, match="no usable test image"):
        split_as_given(*made(rows))
    only = image_row("3", "dog", "three", "test")
    with pytest.raises(TooFewImages, match=r"‘dog’ has no image to train on.*--exclude dog"):
        split_as_given(*made([*rows, only]))
    copy = image_row("4", "dog", "four", "train", look="three")
    with pytest.raises(TooFewImages, match="‘dog’ has no image to train on"):
        split_as_given(*made([*rows, only, copy]))
