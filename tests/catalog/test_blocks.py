from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.catalog import (
    Catalog,
    Duplicates,
    Entry,
    Facts,
    ImageRow,
    Location,
    Split,
    find_duplicates,
    groups_of,
    has_places,
    split_by_block,
)
from foveate.errors import SourceError, TooFewImages
from foveate.files import FileEntry, digest

SIDE = 100.0


def tile(row: int, col: int, label: str, block: str | None = None, look: str = "") -> ImageRow:
    """A tile of a grid; tiles with the same look are near duplicates."""
    name = f"r{row}c{col}"
    place = Location((col + 0.5) * SIDE, (row + 0.5) * SIDE, SIDE, block)
    dhash = bytes.fromhex(digest((look or name).encode()))
    facts = Facts(digest(name.encode()), 8, 8, dhash)
    return ImageRow(Entry(FileEntry(name, name, 5, "1"), label, None, place), facts)


def land(rows: int, cols: int, labels: str = "ab") -> list[ImageRow]:
    """Land whose labels lie in patches of three by three tiles."""
    return [
        tile(row, col, labels[(row // 3 + col // 3) % len(labels)])
        for row in range(rows)
        for col in range(cols)
    ]


def split_of(
    rows: list[ImageRow],
    *,
    share: float = 0.25,
    size: float = 0,
    buffer: float = SIDE,
    seed: int = 0,
) -> tuple[Split, Duplicates]:
    catalog = Catalog(tuple(rows))
    duplicates = find_duplicates(catalog, max_bits=10)
    split = split_by_block(
        catalog,
        duplicates,
        test_share=share,
        block_size=size,
        block_buffer=buffer,
        seed=seed,
    )
    return split, duplicates


def cells(rows: list[ImageRow], ids: tuple[str, ...]) -> np.ndarray:
    wanted = set(ids)
    places = [row.entry.place for row in rows if row.facts.id in wanted]
    return np.array([(place.x, place.y) for place in places if place]) // SIDE


@settings(max_examples=40)
@given(
    rows=st.integers(9, 16),
    cols=st.integers(9, 16),
    size=st.sampled_from([0.0, 200.0, 300.0]),
    buffer=st.sampled_from([0.0, 50.0, 100.0, 200.0]),
    seed=st.integers(0, 5),
)
def test_no_tile_is_lost_and_no_neighbour_is_on_the_other_side(
    rows: int, cols: int, size: float, buffer: float, seed: int
) -> None:
    tiles = land(rows, cols)
    try:
        split, _ = split_of(tiles, size=size, buffer=buffer, seed=seed)
    except TooFewImages:
        return  # a label that the buffer leaves nothing of; said in a sentence
    train, test = cells(tiles, split.train), cells(tiles, split.test)
    apart = np.abs(train[:, None] - test[None]).max(axis=2).min()
    assert (apart - 1) * SIDE >= buffer
    everything = [*split.train, *split.test, *split.left_out]
    assert sorted(everything) == sorted(row.facts.id for row in tiles)
    assert split.blocks is not None
    assert split.blocks.near == len(split.left_out)
    for image in split.test:
        assert split.blocks.of_image[image] in split.blocks.tested


def test_whole_blocks_are_dealt() -> None:
    tiles = land(12, 12)
    split, _ = split_of(tiles, size=300, buffer=0)
    assert split.blocks is not None
    assert split.blocks.count == 16
    sides = {split.blocks.of_image[image] for image in split.train}
    assert not sides & split.blocks.tested


def test_labels_get_about_the_share_to_test_on() -> None:
    tiles = land(30, 30, "abc")
    split, _ = split_of(tiles, size=300)
    label = {row.facts.id: row.entry.label for row in tiles}
    counts, totals = Counter(label[i] for i in split.test), Counter(label.values())
    for name in "abc":
        assert counts[name] / totals[name] == pytest.approx(0.25, abs=0.06)


def test_blocks_are_made_where_no_size_is_given() -> None:
    split, _ = split_of(land(30, 30))
    assert split.blocks is not None
    assert split.blocks.size == 6 * SIDE
    assert split.blocks.count == 25


def test_named_blocks_are_taken_as_they_are() -> None:
    tiles = [
        tile(row, col, "ab"[row % 2], block=f"county {col // 4}")
        for row in range(8)
        for col in range(16)
    ]
    split, _ = split_of(tiles, size=50)
    assert split.blocks is not None
    assert split.blocks.size is None
    assert len(split.blocks.tested) == 1
    tested = {row.facts.id for row in tiles if row.entry.place.block in split.blocks.tested}
    assert set(split.test) == tested


def test_the_seed_decides() -> None:
    tiles = land(20, 20)
    assert split_of(tiles, seed=1)[0] == split_of(tiles[::-1], seed=1)[0]
    assert len({split_of(tiles, seed=seed)[0].test for seed in range(5)}) > 1


def test_copies_of_test_tiles_do_not_train() -> None:
    tiles = [
        tile(row, col, "ab"[(row // 3 + col // 3) % 2], look="lake" if col % 6 == 0 else "")
        for row in range(18)
        for col in range(18)
    ]
    split, duplicates = split_of(tiles, size=300)
    tested = {duplicates.group[image] for image in split.test}
    assert not tested & {duplicates.group[image] for image in split.train}
    assert split.blocks is not None
    assert len(split.left_out) > split.blocks.near


def test_folds_keep_a_label_of_a_block_together() -> None:
    tiles = land(12, 12)
    split, duplicates = split_of(tiles, size=300, buffer=0)
    groups = groups_of(tiles, duplicates, split)
    assert split.blocks is not None
    names = [(split.blocks.of_image[row.facts.id], row.entry.label) for row in tiles]
    assert len(set(zip(groups, names, strict=True))) == len(set(names)) == len(set(groups))


def test_a_label_in_a_single_block_is_named() -> None:
    tiles = [*land(12, 12), tile(0, 0, "pier")]
    with pytest.raises(TooFewImages, match="‘pier’ lie in one block"):
        split_of(tiles, size=300)


def test_a_buffer_that_leaves_nothing_is_named() -> None:
    with pytest.raises(TooFewImages, match="smaller `--set block_buffer=METRES`"):
        split_of(land(12, 12), size=300, buffer=2000)


def test_an_image_without_a_place_is_named() -> None:
    tiles = land(4, 4)
    nowhere = ImageRow(Entry(FileEntry("lost.png", "lost.png", 5, "1"), "a", None), tiles[0].facts)
    assert has_places(tiles)
    assert not has_places([*tiles, nowhere])
    assert not has_places([])
    with pytest.raises(SourceError, match=r"lost\.png’ does not say where it lies"):
        split_of([*tiles, nowhere])
