"""Split images by where they lie: whole blocks of land train, others test, never neighbours.

What is near looks alike (Tobler's first law). Where tiles are dealt one by one, most test tiles
have a neighbour among the training tiles, and the accuracy says how well the classifier fills the
gaps of the land that it knows, not how well it does on land that it has never seen.

Source: Roberts, D. R. et al. (2017). Cross-validation strategies for data with temporal, spatial,
hierarchical, or phylogenetic structure. Ecography 40, 913-929.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from math import ceil, floor, sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foveate.catalog.split import Blocks, Split
from foveate.errors import SourceError, TooFewImages

if TYPE_CHECKING:
    from foveate.catalog.duplicates import Duplicates
    from foveate.catalog.source import Location
    from foveate.catalog.table import Catalog, ImageRow

WANTED = 30
"""Blocks, about, where the settings do not say how large they are."""

DEALS = 50
"""Random ways to deal the blocks that are tried; the one that suits the labels best is taken."""


def has_places(rows: Sequence[ImageRow]) -> bool:
    """Whether there are images, and all of them say where they lie."""
    return bool(rows) and all(row.entry.place is not None for row in rows)


def split_by_block(
    catalog: Catalog,
    duplicates: Duplicates,
    *,
    test_share: float,
    block_size: float,
    block_buffer: float,
    seed: int,
) -> Split:
    """Deal whole blocks to test and train, so that about the wanted share of each label tests.

    Of the training images, those nearer than the buffer to a test image are left out, and so are
    near duplicates of test images.

    Args:
        catalog: the catalog; every labelled image has a place.
        duplicates: its duplicates.
        test_share: share of the images to test on, in (0, 1).
        block_size: a side of a block, m; 0: so that there are about 30 blocks. Where the source
            names the blocks, it is not used.
        block_buffer: m between the borders of any two images of different sides, at least.
        seed: of the random choice.

    Raises:
        SourceError: an image has no place.
        TooFewImages: there are too few blocks, or a label lies in too few of them.
    """
    rows = catalog.labelled
    places = [row.entry.place for row in rows]
    known = [place for place in places if place is not None]
    if len(known) < len(places) or not known:
        missing = next((row.path for row in rows if row.entry.place is None), "the source")
        raise SourceError(
            f"‘{missing}’ does not say where it lies. To split by blocks, every image needs x and "
            "y in a table, as `foveate tiles cut` writes them; `--split image` does without."
        )
    named = any(place.block for place in known)
    size = None if named else block_size or _fitting_size(known)
    block_of = [_block(place, size) for place in known]
    tested = _deal(rows, block_of, test_share, seed)
    is_test = np.array([block in tested for block in block_of])
    near = ~is_test & _is_near(known, is_test, block_buffer)
    test = {row.facts.id for row, chosen in zip(rows, is_test, strict=True) if chosen}
    too_near = {row.facts.id for row, close in zip(rows, near, strict=True) if close} - test
    copied = {duplicates.group[image] for image in test}
    copies = {row.facts.id for row in rows if duplicates.group[row.facts.id] in copied} - test
    train = {row.facts.id for row in rows} - test - too_near - copies
    _check(rows, train, test, block_buffer)
    return Split(
        tuple(sorted(train)),
        tuple(sorted(test)),
        tuple(sorted(too_near | copies)),
        Blocks(
            {row.facts.id: block for row, block in zip(rows, block_of, strict=True)},
            frozenset(tested),
            size,
            block_buffer,
            len(too_near),
        ),
    )


def groups_of(rows: Sequence[ImageRow], duplicates: Duplicates, split: Split) -> list[int]:
    """Which rows may not be in different folds of a cross-validation: rows of equal number.

    Near duplicates; where the split is by blocks, images of a label in the same block.
    """
    if split.blocks is None:
        return [duplicates.group[row.facts.id] for row in rows]
    numbers: dict[tuple[str, str | None], int] = {}
    pairs = [(split.blocks.of_image[row.facts.id], row.entry.label) for row in rows]
    return [numbers.setdefault(pair, len(numbers)) for pair in pairs]


def _fitting_size(places: Sequence[Location]) -> float:
    """A side that cuts the land into about `WANTED` blocks of two tiles a side or more."""
    side = max(place.size for place in places)
    spots = len({(place.x, place.y) for place in places})
    if side == 0:  # points: the rectangle around them
        xs, ys = ([getattr(place, name) for place in places] for name in "xy")
        return sqrt(max(max(xs) - min(xs), 1.0) * max(max(ys) - min(ys), 1.0) / WANTED)
    return max(ceil(sqrt(spots / WANTED)), 2) * side


def _block(place: Location, size: float | None) -> str:
    if size is None:
        return place.block or "(none)"
    return f"{floor(place.y / size)}/{floor(place.x / size)}"


def _deal(
    rows: Sequence[ImageRow], block_of: Sequence[str], test_share: float, seed: int
) -> set[str]:
    """The blocks to test on: of many random deals, the one nearest to the share in every label."""
    blocks = sorted(set(block_of))
    labels = sorted({str(row.entry.label) for row in rows})
    counts = np.zeros((len(blocks), len(labels)), np.int64)
    index = {block: i for i, block in enumerate(blocks)}
    column = {label: k for k, label in enumerate(labels)}
    for row, block in zip(rows, block_of, strict=True):
        counts[index[block], column[str(row.entry.label)]] += 1
    for k, label in enumerate(labels):
        if (counts[:, k] > 0).sum() < 2:
            raise TooFewImages(
                f"All images of ‘{label}’ lie in one block, so it cannot be both trained and "
                "tested. Make the blocks smaller with `--set block_size=METRES`, leave the label "
                f"out with `--exclude {label}`, or give imagery of more places."
            )
    totals = counts.sum(axis=0)
    best: tuple[float, list[int]] | None = None
    for trial in range(DEALS):
        chosen = _chosen(counts / totals, test_share, np.random.default_rng([seed, trial]))
        there = counts[chosen].sum(axis=0)
        off = float(np.abs(there / totals - test_share).max())
        if ((there == 0) | (there == totals)).any():
            off += 1.0
        if best is None or off < best[0]:
            best = off, chosen
    return {blocks[i] for i in best[1]} if best else set()


def _chosen(shares: NDArray[np.float64], wanted: float, rng: np.random.Generator) -> list[int]:
    """Blocks that hold about a share of each label, at least one and not all.

    In random order, a block is taken if that brings the labels nearer to their share.

    Args:
        shares: (b, k) float64, what part of label k lies in block b; each column sums to 1.
        wanted: the share, in (0, 1).
        rng: of the order.
    """
    chosen: list[int] = []
    have = np.zeros(shares.shape[1])
    for i in rng.permutation(len(shares))[: len(shares) - 1]:
        off = have - wanted
        if not chosen or ((off + shares[i]) ** 2).sum() < (off**2).sum():
            chosen.append(int(i))
            have += shares[i]
    return chosen


def _is_near(
    places: Sequence[Location], is_test: NDArray[np.bool_], buffer: float
) -> NDArray[np.bool_]:
    """(n,) bool: whether an image lies nearer than the buffer to a test image.

    The distance is that between the borders of the squares, the larger of its two directions.
    """
    from scipy.spatial import KDTree

    centres = np.array([(place.x, place.y) for place in places])
    sides = np.array([place.size for place in places])
    distance, _ = KDTree(centres[is_test]).query(centres, p=np.inf)
    gap = distance - (sides + sides[is_test].max()) / 2
    near: NDArray[np.bool_] = gap < buffer - 1e-6 * max(buffer, 1.0)
    return near


def _check(rows: Sequence[ImageRow], train: set[str], test: set[str], buffer: float) -> None:
    """Whether every label has images on both sides.

    Raises:
        TooFewImages: one has not; the message names it.
    """
    sides: Mapping[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        side = "test" if row.facts.id in test else "train" if row.facts.id in train else ""
        sides[str(row.entry.label)][side] += 1
    for label in sorted(sides):
        for side, use in (("train", "to train on"), ("test", "to test on")):
            if not sides[label][side]:
                raise TooFewImages(
                    f"‘{label}’ has no image {use} when whole blocks are dealt, and images within "
                    f"{buffer:g} m of a test image or like one are left out. Try smaller blocks "
                    "(`--set block_size=METRES`), a smaller `--set block_buffer=METRES`, another "
                    f"`--seed`, or leave the label out with `--exclude {label}`."
                )
