"""What the tiles of a map really are, as far as that is known, and which of them may be measured.

A tile that the classifier was trained on says nothing about how good it is, and neither does a tile
beside one: it shows the same field or the same street, and smoothing takes votes across the border.
Both are left out and counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.aerial.georeferenced import GeoreferencedPredictions
from foveate.aerial.legend import Legend
from foveate.aerial.mapping.tilemap import NOTHING, TileMap, counted
from foveate.errors import SourceError


@dataclass(frozen=True, slots=True)
class Excluded:
    """The tiles of a map that are not measured, each counted once, at the first of these reasons.

    Attributes:
        trained_on: the classifier was trained on them; 0 where nobody knows.
        beside_trained: one of their eight neighbours was trained on.
        unlabelled: nobody knows their label.
        other_labels: tiles by known label, for labels that the classifier does not have.
        trained_known: whether the predictions say which tiles were trained on.
    """

    trained_on: int
    beside_trained: int
    unlabelled: int
    other_labels: Mapping[str, int]
    trained_known: bool

    @property
    def tiles(self) -> int:
        """All of them."""
        others = sum(self.other_labels.values())
        return self.trained_on + self.beside_trained + self.unlabelled + others

    def to_json(self) -> dict[str, object]:
        """All of it as plain values for JSON."""
        return {
            "trained_on": self.trained_on if self.trained_known else None,
            "beside_trained": self.beside_trained if self.trained_known else None,
            "unlabelled": self.unlabelled,
            "other_labels": dict(self.other_labels),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Known labels in the places of a map's tiles.

    Attributes:
        source: who says so, in words for a reader.
        labels: those of the map, then others that only the known labels have.
        classes: (rows, cols) int16, index into `labels`; -1 where no label is known.
        independent: (rows, cols) bool, where there is a tile that was not trained on, nor any
            beside it.
        trained: (rows, cols) bool, where the classifier was trained; None where nobody knows.
        excluded: what is not measured.
    """

    source: str
    labels: tuple[str, ...]
    classes: NDArray[np.int16]
    independent: NDArray[np.bool_]
    trained: NDArray[np.bool_] | None
    excluded: Excluded

    @property
    def known(self) -> bool:
        """Whether any tile has a known label."""
        return bool((self.classes != NOTHING).any())


def find_reference(
    placed: GeoreferencedPredictions,
    tiles: TileMap,
    *,
    landcover: str | None = None,
    legend: Legend | None = None,
) -> Reference:
    """The known labels of a map's tiles: of a land-cover raster, else those in the predictions.

    Args:
        placed: predictions that the map was made of.
        tiles: the map.
        landcover: a raster of codes, local path or URL.
        legend: what its codes mean; needed with `landcover`.

    Raises:
        SourceError: the raster cannot be read, or gives no tile a label that the classifier has.
        SettingsError: the raster has codes that the legend does not know.
    """
    if landcover is not None and legend is not None:
        known = _spelt_alike(_labels_of(landcover, legend, placed), tiles.labels)
        source = f"the land cover ‘{landcover}’ with the legend {legend.name}"
        if not set(known) & set(tiles.labels):
            labels = sorted({label for label in known if label is not None})
            said = _some(labels) if labels else "nothing about any tile"
            raise SourceError(
                f"‘{landcover}’ says {said} with the legend ‘{legend.name}’; the classifier says "
                f"{_some(tiles.labels)}. "
                + (
                    "Choose the --legend that it was trained with."
                    if labels
                    else "Do they overlap?"
                )
            )
    else:
        known, source = placed.predictions.known, "the labels in the predictions"
    names, codes = _coded(known, tiles.labels)
    classes = _laid(placed, tiles, codes, NOTHING)
    there = tiles.classes != NOTHING
    classes[~there] = NOTHING
    flags = placed.predictions.trained_on
    trained = None
    independent = there.copy()
    if flags is not None:
        trained = _laid(placed, tiles, np.fromiter(flags, bool, len(flags)), False) & there
        independent &= ~_widened(trained)
    excluded = _excluded(there, classes, independent, trained, names, len(tiles.labels))
    return Reference(source, names, classes, independent, trained, excluded)


def _labels_of(
    landcover: str, legend: Legend, placed: GeoreferencedPredictions
) -> Sequence[str | None]:
    from foveate.aerial.landcover import check_codes, label_tiles

    keys = [placed.key(number) for number in range(len(placed))]
    labelled = label_tiles(landcover, legend, placed.grid, keys)
    check_codes(landcover, legend, labelled.unknown)
    return labelled.labels


def _spelt_alike(known: Sequence[str | None], labels: Sequence[str]) -> Sequence[str | None]:
    """The same labels, written as the classifier writes them: folders are often lower case."""
    ours = {label.casefold(): label for label in labels}
    spelt = {
        label: label if label in labels else ours.get(label.casefold(), label)
        for label in set(known)
        if label is not None
    }
    return [None if label is None else spelt[label] for label in known]


def _coded(
    known: Sequence[str | None], labels: Sequence[str]
) -> tuple[tuple[str, ...], NDArray[np.int16]]:
    """All labels, and (n,) int16 which of them each tile has; -1 for none."""
    import pyarrow as pa

    encoded = pa.array(known, pa.string()).dictionary_encode()
    values = encoded.dictionary.to_pylist()
    names = (*labels, *sorted(set(values) - set(labels)))
    place = {name: number for number, name in enumerate(names)}
    lookup = np.array([*(place[value] for value in values), NOTHING], np.int16)
    return names, lookup[encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)]


def _laid(
    placed: GeoreferencedPredictions, tiles: TileMap, values: NDArray[Any], nothing: object
) -> NDArray[Any]:
    """(rows, cols) values of n tiles in their places."""
    down, across, inside = tiles.cells(placed.rows, placed.cols)
    laid = np.full(tiles.shape, nothing, values.dtype)
    laid[down[inside], across[inside]] = values[inside]
    return laid


def _widened(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(rows, cols) bool: the cells and their eight neighbours."""
    tall = cells.copy()
    tall[1:] |= cells[:-1]
    tall[:-1] |= cells[1:]
    wide = tall.copy()
    wide[:, 1:] |= tall[:, :-1]
    wide[:, :-1] |= tall[:, 1:]
    return wide


def _excluded(
    there: NDArray[np.bool_],
    classes: NDArray[np.int16],
    independent: NDArray[np.bool_],
    trained: NDArray[np.bool_] | None,
    names: Sequence[str],
    k: int,
) -> Excluded:
    count_trained = 0 if trained is None else int(trained.sum())
    kept = classes[independent]
    by_label = counted(kept, len(names))
    return Excluded(
        trained_on=count_trained,
        beside_trained=int(there.sum()) - int(independent.sum()) - count_trained,
        unlabelled=int((kept == NOTHING).sum()),
        other_labels={
            name: int(count) for name, count in zip(names[k:], by_label[k:], strict=True) if count
        },
        trained_known=trained is not None,
    )


def _some(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
    return ", ".join(f"‘{label}’" for label in labels[:5]) + more
