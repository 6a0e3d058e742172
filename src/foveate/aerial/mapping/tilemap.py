"""Predictions laid out as a map: one cell a tile, north up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foveate.aerial.georeferenced import GeoreferencedPredictions
from foveate.aerial.grid import Bounds, Grid, TileKey
from foveate.errors import SourceError

NOTHING = -1
"""The class of a cell without a tile."""

MOST_CELLS = 100_000_000
"""Of a map: the rectangle around its tiles; at 6 bytes a cell it has to fit into memory."""

_PART = 4_000_000
"""Cells that are counted at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class TileMap:
    """The predicted labels of tiles in their places.

    Attributes:
        grid: of the tiles.
        top: the grid's row of the northernmost row of tiles, which is row 0 of the arrays.
        left: the grid's column of the westernmost tiles, which is column 0 of the arrays.
        labels: the K labels that the classifier knows, in its own order.
        classes: (rows, cols) int16, index into `labels`; -1 where there is no tile.
        confidence: (rows, cols) float32, probability of the predicted label; NaN where there is
            no tile.
    """

    grid: Grid
    top: int
    left: int
    labels: tuple[str, ...]
    classes: NDArray[np.int16]
    confidence: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return self.classes.shape[0], self.classes.shape[1]

    @property
    def tiles(self) -> int:
        """How many cells have a tile."""
        return int(np.count_nonzero(self.classes != NOTHING))

    @property
    def counts(self) -> NDArray[np.int64]:
        """(K,) int64, tiles by label."""
        return counted(self.classes, len(self.labels))

    @property
    def bounds(self) -> Bounds:
        """Of all cells, in the grid's system."""
        (rows, cols), size = self.shape, self.grid.size
        return (
            self.left * size,
            (self.top + 1 - rows) * size,
            (self.left + cols) * size,
            (self.top + 1) * size,
        )

    @property
    def transform(self) -> tuple[float, float, float, float, float, float]:
        """From column and row of a cell's upper left corner to x and y: a, b, c, d, e, f.

        As in `affine.Affine(*transform)`: x = a col + b row + c, y = d col + e row + f.
        """
        size = self.grid.size
        return size, 0.0, self.left * size, 0.0, -size, (self.top + 1) * size

    def key(self, row: int, col: int) -> TileKey:
        """Which tile of the grid a cell is; row and column of the arrays."""
        return TileKey(self.top - row, self.left + col)

    def cells(
        self, rows: NDArray[np.int64], cols: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Where tiles of the grid lie in the arrays.

        Args:
            rows: (n,) of the grid, counted northwards.
            cols: (n,) of the grid, counted eastwards.

        Returns:
            (n,) int64 rows and (n,) int64 columns of the arrays, 0 for tiles outside; and
            (n,) bool, whether each lies inside.
        """
        down, across = self.top - rows, cols - self.left
        height, width = self.shape
        inside = (down >= 0) & (down < height) & (across >= 0) & (across < width)
        return np.where(inside, down, 0), np.where(inside, across, 0), inside

    def at(self, keys: Sequence[TileKey]) -> NDArray[np.int16]:
        """(n,) int16 classes of n tiles of the grid; -1 for those that the map does not have."""
        rows = np.array([key.row for key in keys], np.int64)
        cols = np.array([key.col for key in keys], np.int64)
        down, across, inside = self.cells(rows, cols)
        classes: NDArray[np.int16] = np.where(inside, self.classes[down, across], NOTHING)
        return classes.astype(np.int16)


def tile_map(placed: GeoreferencedPredictions) -> TileMap:
    """Lay out predictions as a map; refused images leave a gap.

    Args:
        placed: predictions for n tiles, each tile once.

    Raises:
        SourceError: no tile could be read, or they lie so far apart that the rectangle around
            them has more than `MOST_CELLS` cells.
    """
    predictions = placed.predictions
    top = predictions.top
    read = top >= 0
    if not read.any():
        raise SourceError(
            f"None of the {len(placed):,} tiles could be read, so there is no map to make. "
            "The column `error` of the predictions says what is wrong."
        )
    rows, cols = placed.rows[read], placed.cols[read]
    north, west = int(rows.max()), int(cols.min())
    height, width = north - int(rows.min()) + 1, int(cols.max()) - west + 1
    if height * width > MOST_CELLS:
        size = placed.grid.size / 1000
        raise SourceError(
            f"The {len(rows):,} tiles are strewn over {width * size:,.0f} km × "
            f"{height * size:,.0f} km, {height * width:,} tiles large; a map of at most "
            f"{MOST_CELLS:,} can be made. Map the areas one by one, each from predictions of "
            "its own."
        )
    classes = np.full((height, width), NOTHING, np.int16)
    confidence = np.full((height, width), np.nan, np.float32)
    where = north - rows, cols - west
    classes[where] = top[read]
    confidence[where] = predictions.probability[read]
    return TileMap(placed.grid, north, west, predictions.labels, classes, confidence)


def counted(classes: NDArray[np.int16], k: int) -> NDArray[np.int64]:
    """(k,) int64, how often each class occurs; cells without a tile are left out."""
    total = np.zeros(k + 1, np.int64)
    # In parts, because `bincount` makes a copy of 8 bytes a cell.
    flat = classes.reshape(-1)
    for start in range(0, flat.size, _PART):
        total += np.bincount(flat[start : start + _PART].astype(np.intp) + 1, minlength=k + 1)
    return total[1:]
