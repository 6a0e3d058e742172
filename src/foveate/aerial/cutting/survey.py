"""Look at every tile that a raster covers: its gaps, its label, its vegetation. Nothing is written.

What is found travels in columns, so that a million tiles are a few arrays, here and on a cluster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foveate.aerial.address import View
from foveate.aerial.cutting.imagery import bounds_in
from foveate.aerial.grid import Grid, TileKey
from foveate.aerial.header import RasterFacts
from foveate.aerial.landcover import label_tiles
from foveate.aerial.legend import Legend
from foveate.aerial.raster import Raster, open_raster
from foveate.errors import SourceError

TILES_A_TASK = 512
"""Tiles that are looked at in one go, about; rows of tiles stay whole."""

_EDGE_PIXELS = 2.0
"""A tile that stays so far away from a raster's border lies wholly inside it, in any system."""


@dataclass(frozen=True, slots=True)
class SurveyPlan:
    """What to find out about tiles.

    Attributes:
        grid: of the tiles.
        landcover: the raster that gives the labels; None for tiles without.
        legend: of the land cover.
        ndvi: the red and the near-infrared band, counted from 1; None where nobody asks.
    """

    grid: Grid
    landcover: str | None
    legend: Legend
    ndvi: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class SurveyTask:
    """Some rows of tiles of one raster.

    Attributes:
        number: of the raster.
        path: of the raster.
        view: how it is shown.
        rows: of the grid.
        cols: of the grid.
    """

    number: int
    path: str
    view: View
    rows: range
    cols: range

    def __len__(self) -> int:
        return len(self.rows) * len(self.cols)


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found about n tiles that have some data.

    Attributes:
        rasters: (n,) int32, the number of the raster.
        rows: (n,) int32, counted northwards; see `grid.TileKey`.
        cols: (n,) int32, counted eastwards.
        labels: (n,) int32, the number of the label in the legend's `names`; -1 for none.
        shares: (n,) float32, the share of the area that has the label.
        covered: (n,) float32, the share of the area that the land cover knows; 0 without one.
        nodata: (n,) float32, the share of pixels without data, below 1.
        ndvi: (n,) float32, the mean over the pixels with data; NaN where nobody asked.
        unknown: codes of the land cover that the legend does not know, by the number of tiles.
    """

    rasters: NDArray[np.int32]
    rows: NDArray[np.int32]
    cols: NDArray[np.int32]
    labels: NDArray[np.int32]
    shares: NDArray[np.float32]
    covered: NDArray[np.float32]
    nodata: NDArray[np.float32]
    ndvi: NDArray[np.float32]
    unknown: Mapping[int, int]

    def __len__(self) -> int:
        return len(self.rows)

    def key(self, number: int) -> TileKey:
        """Which tile a row is about."""
        return TileKey(int(self.rows[number]), int(self.cols[number]))


def plan_tasks(facts: Sequence[RasterFacts], views: Sequence[View], grid: Grid) -> list[SurveyTask]:
    """All rows of tiles that rasters cover, in pieces of about `TILES_A_TASK`, north first."""
    tasks = []
    for number, (raster, view) in enumerate(zip(facts, views, strict=True)):
        rows, cols = grid.covering(bounds_in(raster, grid))
        step = max(TILES_A_TASK // max(len(cols), 1), 1)
        for stop in range(rows.stop, rows.start, -step):
            some = range(max(stop - step, rows.start), stop)
            tasks.append(SurveyTask(number, raster.path, view, some, cols))
    return tasks


def survey(plan: SurveyPlan, task: SurveyTask) -> Survey:
    """Look at the tiles of a task.

    Raises:
        SourceError: the raster or the land cover cannot be read.
    """
    raster = open_raster(task.path)
    rows, cols = np.meshgrid(np.array(task.rows[::-1]), np.array(task.cols), indexing="ij")
    try:
        nodata = _gaps(raster, plan.grid, task)
        some = nodata < 1
        keys = [
            TileKey(row, col)
            for row, col in zip(rows[some].tolist(), cols[some].tolist(), strict=True)
        ]
        ndvi = _vegetation(raster, plan, keys)
    except OSError as error:
        raise SourceError(f"A tile cannot be cut: {error}.") from None
    labels = np.full(len(keys), -1, np.int32)
    shares, covered = np.zeros(len(keys), np.float32), np.zeros(len(keys), np.float32)
    unknown: Mapping[int, int] = {}
    if plan.landcover is not None and keys:
        labelled = label_tiles(plan.landcover, plan.legend, plan.grid, keys)
        numbers = {name: number for number, name in enumerate(plan.legend.names)}
        labels[:] = [-1 if label is None else numbers[label] for label in labelled.labels]
        shares[:], covered[:], unknown = labelled.shares, labelled.covered, labelled.unknown
    return Survey(
        np.full(len(keys), task.number, np.int32),
        rows[some].astype(np.int32),
        cols[some].astype(np.int32),
        labels,
        shares,
        covered,
        nodata[some].astype(np.float32),
        ndvi,
        unknown,
    )


def together(parts: Sequence[Survey]) -> Survey:
    """Several surveys as one, in their order; at least one."""
    unknown: Counter[int] = Counter()
    for part in parts:
        unknown.update(part.unknown)
    return Survey(
        np.concatenate([part.rasters for part in parts]),
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.cols for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.shares for part in parts]),
        np.concatenate([part.covered for part in parts]),
        np.concatenate([part.nodata for part in parts]),
        np.concatenate([part.ndvi for part in parts]),
        dict(unknown),
    )


def _gaps(raster: Raster, grid: Grid, task: SurveyTask) -> NDArray[np.float64]:
    """(rows, cols) share of pixels without data, north first.

    A raster without gaps need not be read: what it covers follows from its border alone. Only where
    that runs askew over a tile of another system are the pixels counted.
    """
    left, top, right, bottom = _edges(raster, grid, task)
    width, height = raster.dataset.width, raster.dataset.height
    if raster.is_upright(grid):
        across = np.minimum(right, width) - np.maximum(left, 0)
        down = np.minimum(bottom, height) - np.maximum(top, 0)
        inside = across.clip(0) * down.clip(0) / ((right - left) * (bottom - top))
        nodata: NDArray[np.float64] = 1 - inside
        read = (inside > 0) & raster.has_gaps
    else:
        beside = (right < 0) | (left > width) | (bottom < 0) | (top > height)
        margin = _EDGE_PIXELS
        within = (left >= margin) & (right <= width - margin)
        within &= (top >= margin) & (bottom <= height - margin)
        nodata = np.where(beside, 1.0, 0.0)
        read = ~beside & (raster.has_gaps | ~within)
    for place in zip(*read.nonzero(), strict=True):
        key = TileKey(task.rows[-1 - int(place[0])], task.cols[int(place[1])])
        _, valid = raster.read(grid, grid.bounds(key), task.view.bands)
        nodata[place] = 1 - valid.mean()
    return nodata


def _edges(raster: Raster, grid: Grid, task: SurveyTask) -> tuple[NDArray[np.float64], ...]:
    """The rectangle of the raster's pixels around each tile: left, top, right, bottom.

    Each (rows, cols), north first. Where the tile's pixels are the raster's own, they are whole
    numbers, as `Raster.read` rounds them.
    """
    from rasterio.warp import transform

    size, pixels = grid.size, grid.pixels
    xs = np.arange(task.cols.start, task.cols.stop + 1) * size
    ys = np.arange(task.rows.stop, task.rows.start - 1, -1) * size
    x, y = np.meshgrid(xs, ys)
    if not raster.is_upright(grid):
        there = transform(grid.crs, raster.dataset.crs, x.ravel(), y.ravel())
        x, y = (np.asarray(one).reshape(x.shape) for one in there)
    cols, rows = ~raster.dataset.transform * (x, y)
    if raster.same_pixels(grid):
        left, top = cols[:-1, :-1].round(), rows[:-1, :-1].round()
        return left, top, left + pixels, top + pixels
    corners = [(slice(None, -1), slice(None, -1)), (slice(None, -1), slice(1, None))]
    corners += [(slice(1, None), slice(None, -1)), (slice(1, None), slice(1, None))]
    across = np.stack([cols[corner] for corner in corners])
    down = np.stack([rows[corner] for corner in corners])
    return across.min(0), down.min(0), across.max(0), down.max(0)


def _vegetation(raster: Raster, plan: SurveyPlan, keys: Sequence[TileKey]) -> NDArray[np.float32]:
    """(n,) the mean normalised difference vegetation index of each tile.

    (N - R) / (N + R) of the near-infrared N and the red R, 0 where both are 0.

    Source: Rouse, J. W., Haas, R. H., Schell, J. A. and Deering, D. W. (1974). Monitoring
        vegetation systems in the Great Plains with ERTS. NASA SP-351, 309-317.
    """
    means = np.full(len(keys), np.nan, np.float32)
    if plan.ndvi is None:
        return means
    for number, (values, valid) in enumerate(_read(raster, plan.grid, keys, plan.ndvi)):
        red, infrared = values.astype(np.float32)
        total = infrared + red
        index = np.divide(infrared - red, total, out=np.zeros_like(total), where=total != 0)
        if valid.any():
            means[number] = index[valid].mean()
    return means


def _read(
    raster: Raster, grid: Grid, keys: Sequence[TileKey], bands: tuple[int, ...]
) -> Iterator[tuple[NDArray[np.generic], NDArray[np.bool_]]]:
    for key in keys:
        yield raster.read(grid, grid.bounds(key), bands)
