"""Rasters by windows: the pixels of any rectangle, in any system, never the whole image.

Where a raster lies in the grid's own system and its pixels have the grid's size, a tile is its
pixels as they are, shifted by less than half a pixel onto the raster's own. Otherwise the window
is resampled (bilinear; GDAL widens the kernel where it makes pixels larger).
"""

from __future__ import annotations

import os
import threading
import warnings
from collections import OrderedDict
from math import ceil, floor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foveate import files
from foveate.aerial.address import TileAddress, View
from foveate.aerial.grid import Bounds, Grid, parse_crs
from foveate.errors import SourceError

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

# GDAL would take a twentieth of the machine's memory for blocks it may need again.
os.environ.setdefault("GDAL_CACHEMAX", "192")
# Nor does it have to look through a folder of ten thousand rasters for files that belong to one.
os.environ.setdefault("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR")

MOST_OPEN = 8
"""Rasters that a thread keeps open."""

_SAME = 1e-6
"""Relative difference below which two sizes of pixels are the same."""

_SAMPLE = 64
"""Pixels a side of a glance at a band."""

_GLANCES = 3
"""A side, evenly over the raster."""

_opened = threading.local()


def read_tile(address: TileAddress) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The image of a tile.

    Returns:
        (n, n, 3) uint8, RGB, black where there is no data; and (n, n) bool, where there is.

    Raises:
        OSError: the raster cannot be read, or lacks a band.
    """
    view = address.view
    bounds = address.grid.bounds(address.key)
    try:
        raster = open_raster(address.raster)
    except SourceError as error:
        raise OSError(str(error)) from None
    values, valid = raster.read(address.grid, bounds, view.bands)
    shown = stretched(values, view)
    shown *= valid
    return np.ascontiguousarray(shown.transpose(1, 2, 0)), valid


def stretched(values: NDArray[Any], view: View) -> NDArray[np.uint8]:
    """Values of any type as 8 bit; those that are 8 bit stay as they are.

    Raises:
        OSError: they are of another type, and nothing says which of them are black and white.
    """
    if view.stretch is None:
        if values.dtype != np.uint8:
            raise OSError(f"values of type {values.dtype} need a range to be shown as 8 bit")
        return values
    low, high = view.stretch
    scaled = (values.astype(np.float32) - low) * (255 / (high - low))
    shown: NDArray[np.uint8] = np.nan_to_num(scaled.round().clip(0, 255)).astype(np.uint8)
    return shown


def open_raster(path: str) -> Raster:
    """A raster of this thread; the last few stay open.

    Raises:
        SourceError: it is not there, or no raster.
    """
    cache: OrderedDict[str, Raster] | None = getattr(_opened, "rasters", None)
    if cache is None:
        cache = _opened.rasters = OrderedDict()
    stamp = "" if files.is_url(path) else files.file_entry(path).stamp
    opened = cache.get(path)
    if opened is not None and opened.stamp == stamp:
        cache.move_to_end(path)
        return opened
    if opened is not None:
        cache.pop(path).close()
    cache[path] = raster = Raster(path, stamp)
    while len(cache) > MOST_OPEN:
        cache.popitem(last=False)[1].close()
    return raster


class Raster:
    """A raster that is open, for one thread; made by `open_raster`.

    Args:
        path: local path or URL.
        stamp: changes when the file does.

    Raises:
        SourceError: it is not there, or no raster.

    Attributes:
        dataset: rasterio's.
        stamp: as given.
    """

    def __init__(self, path: str, stamp: str = "") -> None:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning, RasterioError

        # `raster_facts` says it in a sentence. Warping keeps it from arrays, too, which have no
        # place for a moment, but not where several threads do so at once.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        self.path = path
        self.stamp = stamp
        self._file = None
        try:
            if files.is_url(path):
                self._file = files.open_file(path)
            self.dataset: DatasetReader = rasterio.open(self._file or path)
            self._alpha = self._alpha_band()
        except (OSError, RasterioError) as error:
            missing = isinstance(error, FileNotFoundError)
            there = not missing and (files.is_url(path) or files.exists(path))
            why = f"cannot be read as a raster ({error})" if there else "is not there"
            raise SourceError(f"The raster ‘{path}’ {why}.") from None
        self._windows: dict[Grid, bool] = {}

    def close(self) -> None:
        """Let go of the file."""
        self.dataset.close()
        if self._file is not None:
            self._file.close()

    @property
    def has_gaps(self) -> bool:
        """Whether some pixels may be without data."""
        return self._alpha is not None or self._has_mask or self.dataset.nodata is not None

    @property
    def _has_mask(self) -> bool:
        from rasterio.enums import MaskFlags

        flags = self.dataset.mask_flag_enums[0]
        return MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags

    def read(
        self, grid: Grid, bounds: Bounds, bands: tuple[int, ...]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Values of some bands in a rectangle, at the grid's size of pixels.

        Args:
            grid: whose system and size of pixels are wanted.
            bounds: in that system; a whole number of its pixels a side.
            bands: counted from 1.

        Returns:
            (bands, h, w) of the raster's own type, 0 outside; and (h, w) bool, where there is data.

        Raises:
            OSError: it cannot be read, or lacks a band.
        """
        from rasterio.errors import RasterioError

        if max(bands) > self.dataset.count:
            raise OSError(
                f"‘{self.path}’ has {self.dataset.count} bands, band {max(bands)} is wanted"
            )
        try:
            if not self.is_upright(grid):
                return self._warped(grid, bounds, bands)
            transform = self.dataset.transform
            left, top = ~transform * (bounds[0], bounds[3])
            right, bottom = ~transform * (bounds[2], bounds[1])
            if self.same_pixels(grid):
                across = round((bounds[2] - bounds[0]) / grid.pixel)
                down = round((bounds[3] - bounds[1]) / grid.pixel)
                return self._cut(round(left), round(top), across, down, bands)
            if left < 0 or top < 0 or right > self.dataset.width or bottom > self.dataset.height:
                return self._warped(grid, bounds, bands)
            return self._resampled((left, top, right, bottom), grid, bounds, bands)
        except RasterioError as error:
            raise OSError(f"‘{self.path}’ cannot be read: {error}") from None

    def is_upright(self, grid: Grid) -> bool:
        """Whether its rows and columns run along those of the grid."""
        if grid not in self._windows:
            transform = self.dataset.transform
            along = transform.b == transform.d == 0 and transform.a > 0 > transform.e
            self._windows[grid] = along and parse_crs(self.dataset.crs.to_wkt()).equals(
                parse_crs(grid.crs), ignore_axis_order=True
            )
        return self._windows[grid]

    def same_pixels(self, grid: Grid) -> bool:
        """Whether a tile is its pixels as they are, shifted by less than half of one."""
        transform = self.dataset.transform
        along = _same(transform.a, grid.pixel) and _same(-transform.e, grid.pixel)
        return along and self.is_upright(grid)

    def _cut(
        self, left: int, top: int, across: int, down: int, bands: tuple[int, ...]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Pixels as they are."""
        from rasterio.windows import Window

        x0, x1 = max(left, 0), min(left + across, self.dataset.width)
        y0, y1 = max(top, 0), min(top + down, self.dataset.height)
        if x0 >= x1 or y0 >= y1:
            return self._nothing(across, down, bands)
        window = Window(x0, y0, x1 - x0, y1 - y0)
        values = self.dataset.read(list(bands), window=window)
        valid = self.valid(values, window, values.shape[1:])
        if values.shape[1:] == (down, across):
            return values, valid
        whole, known = self._nothing(across, down, bands)
        inside = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
        whole[:, inside[0], inside[1]] = values
        known[inside] = valid
        return whole, known

    def _resampled(
        self,
        pixels: tuple[float, float, float, float],
        grid: Grid,
        bounds: Bounds,
        bands: tuple[int, ...],
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """A window of other pixels in the same system."""
        from rasterio.enums import Resampling
        from rasterio.windows import Window

        left, top, right, bottom = pixels
        shape = _shape(grid, bounds)
        window = Window(left, top, right - left, bottom - top)
        values = self.dataset.read(
            list(bands),
            window=window,
            out_shape=(len(bands), *shape),
            resampling=Resampling.bilinear,
        )
        return values, self.valid(values, window, shape)

    def _warped(
        self, grid: Grid, bounds: Bounds, bands: tuple[int, ...]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """A window of another system, or across the raster's border."""
        from rasterio.enums import Resampling
        from rasterio.transform import from_bounds
        from rasterio.warp import reproject
        from rasterio.windows import Window
        from rasterio.windows import transform as transform_of

        shape = _shape(grid, bounds)
        window = self._window_around(grid, bounds)
        if window is None:
            return self._nothing(shape[1], shape[0], bands)
        x0, y0, x1, y1 = window
        part = Window(x0, y0, x1 - x0, y1 - y0)
        # A window of very many pixels is thinned first: twice as fine as wanted is enough.
        thin = max(min((x1 - x0) / shape[1], (y1 - y0) / shape[0]) / 2, 1.0)
        size = max(round((y1 - y0) / thin), 1), max(round((x1 - x0) / thin), 1)
        values = self.dataset.read(
            list(bands),
            window=part,
            out_shape=(len(bands), *size),
            resampling=Resampling.bilinear,
        )
        valid = self.valid(values, part, size)
        place = transform_of(part, self.dataset.transform)
        place = place * place.scale((x1 - x0) / size[1], (y1 - y0) / size[0])
        there = {
            "src_transform": place,
            "src_crs": self.dataset.crs,
            "dst_transform": from_bounds(*bounds, shape[1], shape[0]),
            "dst_crs": grid.crs,
            "resampling": Resampling.bilinear,
            "num_threads": 1,
        }
        warped, known = self._nothing(shape[1], shape[0], bands)
        reproject(values, warped, **there)
        share = np.zeros(shape, np.uint8)
        reproject(valid.astype(np.uint8) * 255, share, **there)
        known |= share > 127
        return warped, known

    def _window_around(self, grid: Grid, bounds: Bounds) -> tuple[int, int, int, int] | None:
        """The pixels that a rectangle may touch: x0, y0, x1, y1; None where there are none."""
        from rasterio.warp import transform

        # Along the border, because straight lines of one system are curves in another.
        steps = np.linspace(0, 1, 9)
        xs = bounds[0] + steps * (bounds[2] - bounds[0])
        ys = bounds[1] + steps * (bounds[3] - bounds[1])
        border = [(x, y) for x in xs for y in (bounds[1], bounds[3])]
        border += [(x, y) for y in ys for x in (bounds[0], bounds[2])]
        corners = transform(grid.crs, self.dataset.crs, *zip(*border, strict=True))
        cols, rows = ~self.dataset.transform * np.array(corners[:2])
        if not (np.isfinite(cols).all() and np.isfinite(rows).all()):
            return None
        x0, x1 = max(floor(cols.min()) - 2, 0), min(ceil(cols.max()) + 2, self.dataset.width)
        y0, y1 = max(floor(rows.min()) - 2, 0), min(ceil(rows.max()) + 2, self.dataset.height)
        return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None

    def valid(self, values: NDArray[Any], window: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """(h, w) bool: where the raster has data."""
        valid = np.ones(shape, bool)
        if self._alpha is not None:
            valid &= self.dataset.read(self._alpha, window=window, out_shape=shape) > 0
        elif self._has_mask:
            valid &= self.dataset.read_masks(1, window=window, out_shape=shape) > 0
        if values.dtype.kind == "f":
            valid &= np.isfinite(values).all(axis=0)
        nodata = self.dataset.nodata
        if nodata is not None:
            # A shadow may well have the value in one band; a gap has it in all.
            valid &= (values != nodata).any(axis=0)
        return valid

    def _nothing(
        self, across: int, down: int, bands: tuple[int, ...]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        values = np.zeros((len(bands), down, across), self.dataset.dtypes[0])
        return values, np.zeros((down, across), bool)

    def _alpha_band(self) -> int | None:
        """The band that says where there is data.

        Near-infrared in a file's fourth band is often marked as alpha. What has shades is none.
        """
        from rasterio.enums import ColorInterp

        for band, meaning in enumerate(self.dataset.colorinterp, start=1):
            if meaning == ColorInterp.alpha and len(self._glance(band)) <= 2:
                return band
        return None

    def _glance(self, band: int) -> set[int]:
        """Values of a band in a few small windows; a thinned copy would read all of the file."""
        from rasterio.windows import Window

        width, height = self.dataset.width, self.dataset.height
        across, down = min(width, _SAMPLE), min(height, _SAMPLE)
        seen: set[int] = set()
        for left in np.linspace(0, width - across, _GLANCES).astype(int).tolist():
            for top in np.linspace(0, height - down, _GLANCES).astype(int).tolist():
                values = self.dataset.read(band, window=Window(left, top, across, down))
                seen.update(np.unique(values).tolist())
        return seen


def _shape(grid: Grid, bounds: Bounds) -> tuple[int, int]:
    """Rows and columns of pixels in a rectangle."""
    return (
        round((bounds[3] - bounds[1]) / grid.pixel),
        round((bounds[2] - bounds[0]) / grid.pixel),
    )


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= _SAME * other
