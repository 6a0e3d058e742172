"""Split a catalog into train and test, so that no image is on both sides.

Near duplicates (see `catalog.duplicates`) always fall on the same side: a copy of a training
image in the test set makes every number too good.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from foveate.errors import TooFewImages
from foveate.files import normal_form

if TYPE_CHECKING:
    from foveate.catalog.duplicates import Duplicates
    from foveate.catalog.source import Side
    from foveate.catalog.table import Catalog, ImageRow


@dataclass(frozen=True, slots=True)
class Blocks:
    """How images were split by where they lie.

    Attributes:
        of_image: image id → its block.
        tested: blocks to test on.
        size: a side of a block, m; None where the source names the blocks.
        buffer: m between any image to train on and any to test on, at least.
        near: images left out because they lie nearer than that.
    """

    of_image: Mapping[str, str]
    tested: frozenset[str]
    size: float | None
    buffer: float
    near: int

    @property
    def count(self) -> int:
        """All blocks."""
        return len(set(self.of_image.values()))


@dataclass(frozen=True, slots=True)
class Split:
    """Which images train and which test.

    Attributes:
        train: image ids, sorted.
        test: image ids, sorted; disjoint from `train`, and no test image is a near duplicate of
            a training image.
        left_out: ids of images that are used for neither: of a given split, or of one by blocks,
            those on the training side that are near duplicates of a test image.
        blocks: how it was made, where that was by blocks; their near images are in `left_out`, too.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    blocks: Blocks | None = None

    def sides(self) -> dict[str, Side]:
        """Image id → its side."""
        return {**dict.fromkeys(self.train, "train"), **dict.fromkeys(self.test, "test")}

    def rows(self, catalog: Catalog, side: Side) -> list[ImageRow]:
        """Labelled rows of a catalog on a side."""
        sides = self.sides()
        return [row for row in catalog.labelled if sides.get(row.facts.id) == side]


def split_by_image(
    catalog: Catalog, duplicates: Duplicates, *, test_share: float, seed: int
) -> Split:
    """Split at random within each label.

    Groups of near duplicates are dealt out whole, which keeps each label's share within one
    group of `test_share`. The outcome depends on the bytes of the images, their labels and the
    seed, not on paths or on the order of the files.

    Args:
        catalog: the catalog.
        duplicates: its duplicates.
        test_share: share of each label's images to test on, in (0, 1).
        seed: of the random choice.

    Raises:
        TooFewImages: a label has fewer than two groups; the message names it.
    """
    unit = {row.facts.id: duplicates.group[row.facts.id] for row in catalog.labelled}
    return _deal(catalog, unit, test_share, seed, "distinct images")


def split_by_subfolder(
    catalog: Catalog, duplicates: Duplicates, *, test_share: float, seed: int
) -> Split:
    """Split so that a subfolder of a label (one garment, one day, one place) stays on one side.

    Subfolders that share near duplicates stay together, too. Files beside the subfolders are
    dealt out one by one.

    Raises:
        TooFewImages: a label has fewer than two subfolders that can be told apart.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    nodes: dict[Hashable, int] = {}
    edges = []
    for row in catalog.labelled:
        folder = _subfolder(row)
        place = ("folder", folder) if folder is not None else ("file", row.facts.id)
        group = ("group", duplicates.group[row.facts.id])
        edges.append([nodes.setdefault(key, len(nodes)) for key in (place, group)])
    left, right = np.array(edges, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(len(nodes),) * 2)
    _, component = connected_components(graph, directed=False)
    unit = {
        row.facts.id: int(component[nodes["group", duplicates.group[row.facts.id]]])
        for row in catalog.labelled
    }
    return _deal(catalog, unit, test_share, seed, "subfolders")


def split_as_given(catalog: Catalog, duplicates: Duplicates) -> Split:
    """The split that the source brings (`train/` and `test/`, a column, a list of test files).

    The test side is taken as it is. A training image that is a near duplicate of a test image is
    left out of both.

    Raises:
        TooFewImages: one of the sides is empty, or a label has nothing to train on.
    """
    rows = catalog.labelled
    test = {row.facts.id for row in rows if row.entry.side == "test"}
    if not test:
        raise TooFewImages("The given split has no usable test image. Name at least one.")
    tested_groups = {duplicates.group[image] for image in test}
    train: set[str] = set()
    left_out: set[str] = set()
    for row in rows:
        image = row.facts.id
        if image not in test:
            (left_out if duplicates.group[image] in tested_groups else train).add(image)
    trained = {row.entry.label for row in rows if row.facts.id in train}
    if missing := set(catalog.label_counts()) - trained:
        raise TooFewImages(
            f"‘{min(missing)}’ has no image to train on in the given split. "
            f"Add some, or leave the label out with `--exclude {min(missing)}`."
        )
    return Split(tuple(sorted(train)), tuple(sorted(test)), tuple(sorted(left_out)))


def _subfolder(row: ImageRow) -> str | None:
    """The subfolder of its label that a file is in, at whatever depth; None if it is in none.

    A table names its labels itself: there, the folder of the file counts.
    """
    path = PurePosixPath(row.entry.file.relative)
    label, *inner = path.parts
    if normal_form(label) != row.entry.label:
        return str(path.parent) if len(inner) > 1 else None
    return f"{label}/{inner[0]}" if len(inner) > 1 else None


def _deal(
    catalog: Catalog, unit: Mapping[str, int], test_share: float, seed: int, what: str
) -> Split:
    """Deal whole units of images to test and train, label by label."""
    label_of = _label_of_units(catalog, unit)
    members: dict[int, list[str]] = defaultdict(list)
    for image in sorted(unit):
        members[unit[image]].append(image)
    by_label: dict[str, list[list[str]]] = defaultdict(list)
    for number, images in members.items():
        by_label[label_of[number]].append(images)

    test: list[str] = []
    for position, label in enumerate(sorted(catalog.label_counts())):
        units = sorted(by_label.get(label, []))
        if len(units) < 2:
            raise TooFewImages(_too_few(label, catalog.label_counts()[label], len(units), what))
        rng = np.random.default_rng([seed, position])
        units = [units[i] for i in rng.permutation(len(units))]
        units.sort(key=len, reverse=True)
        test += _choose(units, test_share, rng)
    chosen = set(test)
    return Split(tuple(sorted(set(unit) - chosen)), tuple(sorted(chosen)))


def _choose(units: list[list[str]], test_share: float, rng: np.random.Generator) -> list[str]:
    """The test images among the units of one label.

    Each unit in turn, largest first, goes to test with the probability that is still to be
    filled there. With units of one image this is sampling without replacement.
    """
    total = sum(map(len, units))
    wanted = min(max(round(test_share * total), 1), total - 1)
    chosen: list[list[str]] = []
    kept: list[list[str]] = []
    remaining = total
    for unit in units:
        fits = len(unit) <= wanted
        if fits and rng.random() < wanted / remaining:
            chosen.append(unit)
            wanted -= len(unit)
        else:
            kept.append(unit)
        remaining -= len(unit)
    if not chosen:  # every unit was larger than what was wanted: the smallest has to do
        chosen.append(kept.pop())
    return [image for unit in chosen for image in unit]


def _label_of_units(catalog: Catalog, unit: Mapping[str, int]) -> dict[int, str]:
    """The label that most images of a unit carry (the first by name among equals)."""
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for row in catalog.labelled:
        if row.entry.label is not None:
            counts[unit[row.facts.id]][row.entry.label] += 1
    return {
        number: min(labels, key=lambda label: (-labels[label], label))
        for number, labels in counts.items()
    }


def _too_few(label: str, images: int, units: int, what: str) -> str:
    has = f"‘{label}’ has {images} image{'' if images == 1 else 's'}"
    if units == 0:
        has += ", all of them copies of images with other labels"
    elif images > 1:
        has += f", but only {units} {what.removesuffix('s')}"
    return (
        f"{has}; at least 2 are needed, one to train and one to test on. "
        f"Add images or leave the label out with `--exclude {label}`."
    )
