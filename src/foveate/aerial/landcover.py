"""What the land cover says about tiles: the label that most of a tile has, and how much of it.

Where the land cover lies in the grid's own system, the share is exact, else close: see `zonal`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foveate.aerial.grid import Grid, TileKey
from foveate.aerial.legend import Legend
from foveate.aerial.raster import open_raster
from foveate.aerial.zonal import NOTHING, check_codes_raster, codes_under
from foveate.errors import SettingsError

LEAST_COVERED = 0.5
"""Of a tile: where the land cover knows less, the tile has no label."""

MOST_TILES = 16
"""Tiles a side of the blocks that are read at once."""

_MOST_CODE = np.iinfo(np.int32).max
_NEAR = 10_000
"""Codes that lie no further apart are counted without sorting them."""

_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class LandCover:
    """What the land cover says about n tiles.

    Attributes:
        labels: the label of most of each tile; None where most has no label, or less than half is
            known.
        shares: (n,) float64, the share of the tile's area that has it, 0 where there is none.
        covered: (n,) float64, the share of the tile's area where the land cover has data.
        unknown: codes that the legend does not know, and how many tiles have them.
    """

    labels: tuple[str | None, ...]
    shares: NDArray[np.float64]
    covered: NDArray[np.float64]
    unknown: Mapping[int, int]


def label_tiles(landcover: str, legend: Legend, grid: Grid, keys: Sequence[TileKey]) -> LandCover:
    """The plurality label of each tile, and its share.

    Codes that the legend knows without a label are a class like any other here: a lake with a bit
    of forest has no label. What the legend does not know counts as known land of no label; see
    `check_codes`. Of two labels with the same share, the first of the legend is taken.

    Args:
        landcover: a raster of one band, in any system, local path or URL.
        legend: what its codes mean.
        grid: of the tiles.
        keys: which tiles, in any order.

    Raises:
        SourceError: the land cover cannot be read, has no system, or more than one band.
    """
    raster = open_raster(landcover)
    check_codes_raster(raster)
    sums = _Sums(legend, len(keys))
    for numbers in _blocks(keys):
        block = [keys[number] for number in numbers]
        weighed = codes_under(raster, grid, block)
        for number, (codes, weights) in zip(numbers, weighed, strict=True):
            sums.add(number, codes, weights)
    return sums.landcover()


def check_codes(landcover: str, legend: Legend, unknown: Mapping[int, int]) -> None:
    """Refuse land cover with codes that its legend does not know.

    Args:
        landcover: its path, for the message.
        legend: that was used.
        unknown: as `LandCover.unknown` has them.

    Raises:
        SettingsError: there are such codes; the message names them.
    """
    if not unknown:
        return
    named = ", ".join(str(code) for code in sorted(unknown)[:_MOST_NAMED])
    more = ", …" if len(unknown) > _MOST_NAMED else ""
    codes = "code" if len(unknown) == 1 else "codes"
    raise SettingsError(
        f"The land cover ‘{landcover}’ has the {codes} {named}{more}, which the legend "
        f"‘{legend.name}’ does not know. Name its own legend with --legend: a .csv table with the "
        "columns code and label (an empty label leaves a code out)."
    )


class _Sums:
    """Adds up, tile by tile, how much area each label has."""

    def __init__(self, legend: Legend, n: int) -> None:
        self._legend = legend
        self._names = legend.names
        numbers = {name: number for number, name in enumerate(self._names)}
        self._number = {
            code: numbers.get(label, len(numbers)) for code, label in legend.labels.items()
        }
        self._labels: list[str | None] = [None] * n
        self._shares = np.zeros(n)
        self._covered = np.zeros(n)
        self._unknown: Counter[int] = Counter()

    def add(self, tile: int, codes: NDArray[np.int32], weights: NDArray[np.float64]) -> None:
        """Count a tile: (m,) codes and the (m,) shares of its area that have them."""
        distinct, areas = _areas(codes.ravel(), weights.ravel())
        totals = np.zeros(len(self._names) + 1)
        for code, area in zip(distinct.tolist(), areas.tolist(), strict=True):
            if code in self._legend.nodata:
                continue
            if code not in self._number:
                self._unknown[code] += 1
            totals[self._number.get(code, -1)] += area
        self._covered[tile] = min(totals.sum(), 1.0)
        # Sums of areas differ in their last digits where they are equal.
        best = int(totals.round(12).argmax())
        if self._covered[tile] >= LEAST_COVERED and best < len(self._names):
            self._labels[tile] = self._names[best]
            self._shares[tile] = min(totals[best], 1.0)

    def landcover(self) -> LandCover:
        """What was counted."""
        return LandCover(tuple(self._labels), self._shares, self._covered, dict(self._unknown))


def _areas(
    codes: NDArray[np.int32], weights: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The codes that there are, and the sum of the weights of each."""
    known = (codes != NOTHING) & (weights > 0)
    values, weights = codes[known].astype(np.int64), weights[known]
    low = values.min(initial=_MOST_CODE)
    if values.max(initial=low) - low < _NEAR:
        sums = np.bincount(values - low, weights).astype(np.float64)
        there = sums.nonzero()[0]
        return there + low, sums[there]
    distinct, inverse = np.unique(values, return_inverse=True)
    return distinct, np.bincount(inverse, weights).astype(np.float64)


def _blocks(keys: Sequence[TileKey]) -> Iterator[list[int]]:
    """The numbers of tiles that lie near each other."""
    blocks: dict[tuple[int, int], list[int]] = {}
    for number, key in enumerate(keys):
        blocks.setdefault((key.row // MOST_TILES, key.col // MOST_TILES), []).append(number)
    yield from blocks.values()
