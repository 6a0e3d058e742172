"""Predictions on tiles, and where these lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from foveate import files
from foveate.aerial.address import TILE, TileAddress, is_address, parse_address
from foveate.aerial.grid import Grid, TileKey, parse_key
from foveate.aerial.header import taken_from
from foveate.aerial.index import NAME, TileIndex, read_index
from foveate.errors import SourceError
from foveate.predictions import Predictions, read_predictions

_KEY = r"^r(?P<row>-?\d{1,9})c(?P<col>-?\d{1,9})$"
"""As in `grid.parse_key`."""

_SPAN = 4_000_000_000


@dataclass(frozen=True, slots=True)
class GeoreferencedPredictions:
    """Predictions for n tiles of one grid, each tile once.

    Attributes:
        predictions: what the classifier said, by tile.
        grid: of the tiles.
        rows: (n,) int64, counted northwards; see `grid.TileKey`.
        cols: (n,) int64, counted eastwards.
        years: when each tile was photographed; None where nothing says so.
    """

    predictions: Predictions
    grid: Grid
    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    years: tuple[int | None, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def key(self, number: int) -> TileKey:
        """Which tile a row is about."""
        return TileKey(int(self.rows[number]), int(self.cols[number]))

    def take(self, numbers: Sequence[int] | NDArray[np.intp]) -> GeoreferencedPredictions:
        """Only some rows, by their indices."""
        kept = [int(number) for number in numbers]
        return replace(
            self,
            predictions=self.predictions.take(kept),
            rows=self.rows[kept],
            cols=self.cols[kept],
            years=tuple(self.years[number] for number in kept),
        )


def read_georeferenced(
    path: str, *, index: str | None = None, year: int | None = None
) -> GeoreferencedPredictions:
    """Read predictions on tiles, from a file or from a folder of parts.

    Tiles that were read straight from their raster say themselves where they lie. Tiles that are
    files are looked up in the index that was written with them.

    Args:
        path: what `foveate score` wrote.
        index: the index of the tiles, or the folder that holds it; found beside the first tile's
            label folder where None.
        year: only tiles photographed in it.

    Raises:
        SourceError: it cannot be read, a tile is not in the index, there are tiles of several
            grids, or a tile is there more than once.
    """
    predictions = read_predictions(path)
    if not predictions.paths:
        raise SourceError(f"‘{path}’ has no predictions.")
    if all(is_address(one) for one in predictions.paths):
        placed = _from_addresses(predictions, path)
    else:
        placed = _from_index(predictions, path, read_index(index or _index_near(predictions, path)))
    if year is not None:
        kept = [i for i, taken in enumerate(placed.years) if taken == year]
        if not kept:
            years = sorted({one for one in placed.years if one is not None})
            raise SourceError(
                f"‘{path}’ has no tile of {year}. "
                f"Its years: {', '.join(map(str, years)) or 'none is known'}."
            )
        placed = placed.take(kept)
    _check_once(placed, path)
    return placed


def _from_addresses(predictions: Predictions, path: str) -> GeoreferencedPredictions:
    # A million addresses are of a few kinds, which differ in the tile alone: one of each is read.
    kinds: dict[tuple[str, str], TileAddress] = {}
    keys, years = [], []
    try:
        for one in predictions.paths:
            raster, _, query = one.rpartition(TILE)
            key, _, rest = query.partition("&")
            kind = kinds.get((raster, rest))
            if kind is None:
                kind = kinds[raster, rest] = parse_address(one)
            keys.append(key)
            years.append(_year_of(kind.raster))
        rows, cols = parse_keys(keys)
    except ValueError as error:
        raise SourceError(f"‘{path}’ cannot be mapped: {error}.") from None
    grids = {kind.grid for kind in kinds.values()}
    if len(grids) > 1:
        raise SourceError(
            f"‘{path}’ has tiles of {len(grids)} grids (systems or sizes). Map them one by one."
        )
    return GeoreferencedPredictions(predictions, grids.pop(), rows, cols, tuple(years))


def parse_keys(keys: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns, (n,) int64 each, of n texts as `grid.parse_key` reads them.

    Raises:
        ValueError: one of them is not a key.
    """
    parts = pc.extract_regex(pa.array(keys, pa.string()), _KEY)
    if parts.null_count:
        parse_key(keys[parts.is_null().to_pylist().index(True)])
    rows, cols = (pc.cast(parts.field(name), pa.int64()).to_numpy() for name in ("row", "col"))
    return rows, cols


def _from_index(predictions: Predictions, path: str, index: TileIndex) -> GeoreferencedPredictions:
    by_path = {files.printable(files.absolute(tile.path)): tile for tile in index.tiles}
    tiles = []
    for one in predictions.paths:
        tile = by_path.get(files.printable(files.absolute(one)))
        if tile is None:
            raise SourceError(
                f"‘{one}’ in ‘{path}’ is not in the index of tiles. "
                "Name the index that was written with these tiles: --index FILE."
            )
        tiles.append(tile)
    return GeoreferencedPredictions(
        predictions,
        index.grid,
        np.array([tile.key.row for tile in tiles], np.int64),
        np.array([tile.key.col for tile in tiles], np.int64),
        tuple(tile.taken.year if tile.taken else None for tile in tiles),
    )


def _index_near(predictions: Predictions, path: str) -> str:
    """The folder with the index, above the folder of a label or of all tiles."""
    folder = files.parent(files.absolute(predictions.paths[0]))
    for _ in range(3):
        if files.exists(files.join(folder, NAME)):
            return folder
        folder = files.parent(folder)
    raise SourceError(
        f"Nothing says where the tiles in ‘{path}’ lie: name the index that `foveate tiles cut` "
        "wrote with them, --index FILE."
    )


def _check_once(placed: GeoreferencedPredictions, path: str) -> None:
    # One number a tile: both parts have at most nine digits.
    numbers = np.sort(placed.rows * _SPAN + placed.cols + _SPAN // 2)
    twice = numbers[1:][numbers[1:] == numbers[:-1]]
    if not len(twice):
        return
    row, col = divmod(int(twice[0]), _SPAN)
    times = int((numbers == twice[0]).sum())
    years = sorted({year for year in placed.years if year is not None})
    which = f"Choose one of the years {', '.join(map(str, years))} with --year." if years else ""
    raise SourceError(
        f"‘{path}’ has the tile {TileKey(row, col - _SPAN // 2)} {times} times. {which}".rstrip()
    )


@lru_cache(maxsize=4096)
def _year_of(raster: str) -> int | None:
    taken = taken_from(raster)
    return taken.year if taken else None
