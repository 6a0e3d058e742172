"""The codes of a raster under tiles, each with the share of the tile's area that has it.

Where the raster lies in the grid's own system, the shares are exact: each of its pixels counts with
the area that it shares with the tile. Otherwise a fine net of points is laid over the tile, and
each takes the code of the pixel that it falls into (nearest neighbour: codes cannot be averaged).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import ceil, floor, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.aerial.grid import Grid, TileKey
from foveate.aerial.raster import Raster
from foveate.errors import SourceError

NOTHING = int(np.iinfo(np.int32).min)
"""Stands for no data; no legend has such a code."""

_POINTS_A_PIXEL = 6
_FEWEST_POINTS, _MOST_POINTS = 32, 128

_EDGE = 1e-6
"""Of a pixel: less is no overlap."""

_METRES_A_DEGREE = 111_320.0

Weighed = tuple[NDArray[np.int32], NDArray[np.float64]]
"""(h, w) codes, and the shares of a tile's area that they have."""


def codes_under(raster: Raster, grid: Grid, keys: Sequence[TileKey]) -> Iterator[Weighed]:
    """What lies under tiles that are near each other, in their order.

    Args:
        raster: of codes.
        grid: of the tiles.
        keys: at least one; all between the outermost ones is read at once.

    Raises:
        SourceError: it cannot be read.
    """
    under = _exact if raster.is_upright(grid) else _sampled
    return under(raster, grid, keys)


def check_codes_raster(raster: Raster) -> None:
    """Refuse what is no land cover.

    Raises:
        SourceError: it has no system, or more than one band.
    """
    dataset = raster.dataset
    if dataset.crs is None:
        raise SourceError(
            f"The land cover ‘{raster.path}’ has no coordinate reference system: nobody can tell "
            "where it lies. Give it one with `gdal_edit.py -a_srs EPSG:…`."
        )
    if dataset.count != 1:
        raise SourceError(
            f"‘{raster.path}’ has {dataset.count} bands; land cover has one, of codes. Is it "
            "imagery?"
        )


def _exact(raster: Raster, grid: Grid, keys: Sequence[TileKey]) -> Iterator[Weighed]:
    """The pixels under each tile with the share of the tile's area that each has."""
    inverse = ~raster.dataset.transform
    corners = []
    for key in keys:
        left, bottom, right, top = grid.bounds(key)
        corners.append((*(inverse * (left, top)), *(inverse * (right, bottom))))
    x0, y0 = (floor(min(corner[axis] for corner in corners) + _EDGE) for axis in (0, 1))
    x1, y1 = (ceil(max(corner[axis] for corner in corners) - _EDGE) for axis in (2, 3))
    codes = _read(raster, x0, y0, x1, y1)
    for left, top, right, bottom in corners:
        across = _overlaps(left - x0, right - x0, x1 - x0)
        down = _overlaps(top - y0, bottom - y0, y1 - y0)
        cols, rows = across.nonzero()[0], down.nonzero()[0]
        part = codes[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
        weights = np.outer(down[rows], across[cols])
        yield part, weights / ((right - left) * (bottom - top))


def _overlaps(low: float, high: float, n: int) -> NDArray[np.float64]:
    """(n,) how much of each pixel i, from i to i + 1, lies between two places."""
    edges = np.arange(n + 1)
    overlaps: NDArray[np.float64] = (
        np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
    ).clip(0)
    return overlaps


def _read(raster: Raster, x0: int, y0: int, x1: int, y1: int) -> NDArray[np.int32]:
    """Codes of a window that may reach over the border."""
    from rasterio.windows import Window

    dataset = raster.dataset
    codes = np.full((y1 - y0, x1 - x0), NOTHING, np.int32)
    left, top = max(x0, 0), max(y0, 0)
    right, bottom = min(x1, dataset.width), min(y1, dataset.height)
    if left < right and top < bottom:
        with _sentences(raster):
            values = dataset.read(1, window=Window(left, top, right - left, bottom - top))
        codes[top - y0 : bottom - y0, left - x0 : right - x0] = _as_codes(values, dataset.nodata)
    return codes


def _sampled(raster: Raster, grid: Grid, keys: Sequence[TileKey]) -> Iterator[Weighed]:
    """The codes at a net of points over each tile, which all have the same weight."""
    from rasterio.transform import from_origin

    points = _points(raster, grid)
    first_row, last_row = min(key.row for key in keys), max(key.row for key in keys)
    first_col, last_col = min(key.col for key in keys), max(key.col for key in keys)
    step = grid.size / points
    shape = (last_row - first_row + 1) * points, (last_col - first_col + 1) * points
    place = from_origin(first_col * grid.size, (last_row + 1) * grid.size, step, step)
    codes = _warped(raster, grid, place, shape)
    weights = np.full((points, points), points**-2.0)
    for key in keys:
        top, left = (last_row - key.row) * points, (key.col - first_col) * points
        yield codes[top : top + points, left : left + points], weights


def _warped(raster: Raster, grid: Grid, place: Any, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Codes in a window of the grid's system."""
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.warp import reproject

    # Where the raster has nothing to say, what is there already stays.
    codes = np.full(shape, NOTHING, np.int32)
    with _sentences(raster):
        reproject(
            rasterio.band(raster.dataset, 1),
            codes,
            dst_transform=place,
            dst_crs=grid.crs,
            resampling=Resampling.nearest,
            init_dest_nodata=False,
            num_threads=1,
        )
    return codes


def _points(raster: Raster, grid: Grid) -> int:
    """Points a side of a tile: some in each pixel, as far as that is worth the while."""
    transform, crs = raster.dataset.transform, raster.dataset.crs
    metres = _METRES_A_DEGREE if crs.is_geographic else crs.linear_units_factor[1]
    pixel = sqrt(abs(transform.determinant)) * metres
    wanted = ceil(_POINTS_A_PIXEL * grid.size / pixel)
    return min(max(wanted, _FEWEST_POINTS), _MOST_POINTS)


def _as_codes(values: NDArray[np.generic], nodata: float | None) -> NDArray[np.int32]:
    """Values of any type as codes; what is no data or no number stands for nothing."""
    nothing = np.zeros(values.shape, bool) if nodata is None else values == nodata
    if values.dtype.kind == "f":
        nothing = nothing | ~np.isfinite(values)
    limits = np.iinfo(np.int32)
    codes = np.full(values.shape, NOTHING, np.int32)
    codes[~nothing] = values[~nothing].clip(limits.min, limits.max).astype(np.int64)
    return codes


@contextmanager
def _sentences(raster: Raster) -> Iterator[None]:
    from rasterio.errors import RasterioError

    try:
        yield
    except (RasterioError, OSError) as error:
        raise SourceError(f"The land cover ‘{raster.path}’ cannot be read: {error}.") from None
