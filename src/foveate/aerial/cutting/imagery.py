"""Many rasters as one imagery: which files they are, what they have, and on which grid."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from math import isfinite, sqrt
from pathlib import Path

import numpy as np

from foveate import files
from foveate.aerial.grid import Bounds, Grid, crs_text, is_metric, metric_crs, parse_crs
from foveate.aerial.header import RasterFacts, raster_facts
from foveate.errors import SettingsError, SourceError

SUFFIXES = (".tif", ".tiff", ".vrt", ".img", ".jp2")
"""Of the files in a folder that are taken for rasters."""

TRUE = 0.05
"""A metre of the grid may be so much shorter or longer on the ground."""

_OUTSIDE = 3.0
"""Where a metre of a system is so many on the ground, or a part so small, it is not made for it."""

_BEYOND = 10.0
"""Degrees from the area that a system is made for; a neighbouring zone is nearer."""

_METRES_A_DEGREE = 111_320.0
_READERS = 16
"""Headers that are read at once."""


def find_rasters(given: Sequence[str], *, besides: str | None = None) -> tuple[str, ...]:
    """The rasters that files, folders, globs and URLs name, each once.

    Args:
        given: in any number.
        besides: a raster that is no imagery, though it may lie in the same folder.

    Raises:
        SourceError: one of them names nothing.
    """
    rasters: dict[str, None] = {}
    for path in given:
        names = _named(path)
        if not names:
            raise SourceError(
                f"There is no raster in ‘{path}’. Rasters end in {', '.join(SUFFIXES)}."
            )
        alone = names == [path]
        other = files.absolute(besides) if besides is not None else ""
        rasters |= dict.fromkeys(n for n in map(files.absolute, names) if alone or n != other)
    if not rasters:
        raise SourceError("There is no imagery: name files, folders or URLs of rasters.")
    return tuple(rasters)


def read_facts(paths: Sequence[str]) -> tuple[RasterFacts, ...]:
    """What the headers of rasters say, in the same order.

    Raises:
        SourceError: one is no raster, or nobody can tell where it lies.
    """
    with ThreadPoolExecutor(min(_READERS, max(len(paths), 1))) as pool:
        return tuple(pool.map(raster_facts, paths))


def choose_grid(
    facts: Sequence[RasterFacts], *, size: float, pixel: float, crs: str | None = None
) -> Grid:
    """One grid for all rasters.

    Args:
        facts: of the rasters, at least one.
        size: a side of a tile, m.
        pixel: a side of a pixel, m.
        crs: the system; None for that of the first raster where it is in metres that are metres on
            the ground (those of web maps are not), else the UTM zone of its centre.

    Raises:
        SettingsError: the system is unknown, not in metres, or not made for this place.
    """
    west, south, east, north = facts[0].geographic_bounds
    place = (west + east) / 2, (south + north) / 2
    if crs is None:
        own = parse_crs(facts[0].crs)
        true = is_metric(own) and abs(ground_scale(facts[0].crs, *place) - 1) <= TRUE
        grid = Grid(facts[0].crs if true else metric_crs(*place), size, pixel)
    else:
        wanted = parse_crs(crs)
        if not is_metric(wanted):
            raise SettingsError(
                f"‘{crs}’ is not in metres, but tiles are squares of metres. Name a projected "
                f"system, such as {metric_crs(*place)} here."
            )
        grid = Grid(crs_text(wanted), size, pixel)
    for one in facts:
        west, south, east, north = one.geographic_bounds
        there = (west + east) / 2, (south + north) / 2
        true = 1 / _OUTSIDE < ground_scale(grid.crs, *there) < _OUTSIDE
        if not true or _beyond(grid.crs, *there) or not np.isfinite(bounds_in(one, grid)).all():
            raise SettingsError(
                f"‘{one.path}’ ({_at(one.geographic_bounds)}) lies outside of the area that "
                f"{parse_crs(grid.crs).name} is made for. Name another system with --crs, such as "
                f"{metric_crs(*there)}, or cut it by itself."
            )
    return grid


def ground_scale(crs: str, longitude: float, latitude: float) -> float:
    """Metres on the ground of a metre of a system, at some place; infinity where it has none."""
    from pyproj import Geod, Transformer

    there = Transformer.from_crs("EPSG:4326", parse_crs(crs), always_xy=True)
    x, y = there.transform(longitude, latitude)
    if not (isfinite(x) and isfinite(y)):
        return float("inf")
    half = 50.0
    lons, lats = there.transform(
        [x - half, x + half, x, x], [y, y, y - half, y + half], direction="INVERSE"
    )
    if not np.isfinite([*lons, *lats]).all():
        return float("inf")
    _, _, metres = Geod(ellps="WGS84").inv(lons[::2], lats[::2], lons[1::2], lats[1::2])
    return sqrt(metres[0] * metres[1]) / (2 * half)


def _beyond(crs: str, longitude: float, latitude: float) -> bool:
    """Whether a place is far from where a system is used; never where nobody says where that is."""
    area = parse_crs(crs).area_of_use
    if area is None:
        return False
    width = (area.east - area.west) % 360 or 360
    off = (longitude - area.west) % 360
    aside = max(min(off - width, 360 - off), 0)
    return max(aside, area.south - latitude, latitude - area.north) > _BEYOND


def bounds_in(facts: RasterFacts, grid: Grid) -> Bounds:
    """The rectangle around a raster in the grid's system; infinite where it has no place there."""
    from rasterio.errors import RasterioError
    from rasterio.warp import transform_bounds

    if facts.crs == grid.crs:
        return facts.bounds
    try:
        left, bottom, right, top = transform_bounds(facts.crs, grid.crs, *facts.bounds)
    except RasterioError:
        return (float("inf"),) * 4
    return left, bottom, right, top


def ground_pixel(facts: RasterFacts) -> float:
    """About how many metres a pixel of a raster is wide."""
    crs = parse_crs(facts.crs)
    if crs.is_geographic:
        return facts.pixel * _METRES_A_DEGREE
    west, south, east, north = facts.geographic_bounds
    if is_metric(crs):
        scale = ground_scale(facts.crs, (west + east) / 2, (south + north) / 2)
        return facts.pixel * (scale if isfinite(scale) else 1.0)
    return facts.pixel * float(crs.axis_info[0].unit_conversion_factor)


def check_overlap(facts: Sequence[RasterFacts], landcover: RasterFacts) -> None:
    """Refuse imagery and land cover of different places.

    Raises:
        SourceError: no raster shares any area with the land cover.
    """
    there = landcover.geographic_bounds
    if any(_meet(one.geographic_bounds, there) for one in facts):
        return
    raise SourceError(
        f"The imagery and the land cover do not overlap: ‘{facts[0].path}’ lies at "
        f"{_at(facts[0].geographic_bounds)}, ‘{landcover.path}’ at {_at(there)}."
    )


def choose_bands(facts: Sequence[RasterFacts], bands: Sequence[int] | None) -> tuple[int, int, int]:
    """Which bands are shown as red, green and blue.

    Args:
        facts: of the rasters.
        bands: as wanted, counted from 1; None for the first three, or the only one three times.

    Raises:
        SettingsError: they are not three, or a raster lacks one.
    """
    chosen = tuple(bands) if bands else (1, 1, 1) if all(f.bands == 1 for f in facts) else (1, 2, 3)
    if len(chosen) != 3 or min(chosen) < 1:
        raise SettingsError(
            "An image has three bands, counted from 1: --bands 1,2,3 as they are, --bands 4,1,2 "
            "with near-infrared as red, --bands 1,1,1 for the only one."
        )
    check_bands(facts, chosen, "--bands 1,1,1 shows one band as grey")
    return chosen[0], chosen[1], chosen[2]


def check_bands(facts: Sequence[RasterFacts], bands: Sequence[int], advice: str) -> None:
    """Refuse rasters that lack a band.

    Raises:
        SettingsError: the message names the first such raster, and ends in the advice.
    """
    for one in facts:
        if max(bands) > one.bands:
            has = "1 band" if one.bands == 1 else f"{one.bands} bands"
            raise SettingsError(
                f"‘{one.path}’ has {has}, but bands {','.join(map(str, bands))} are wanted; "
                f"{advice}."
            )


def _named(path: str) -> list[str]:
    """The rasters that one argument names."""
    if files.is_url(path):
        if any(mark in path for mark in "*?["):
            return _globbed(path)
        if path.lower().endswith(SUFFIXES):  # not every server can say what is a folder
            return [path]
        return _in_folder(path) if files.is_folder(path) else [path]
    if Path(path).is_dir():
        return _in_folder(path)
    if not Path(path).exists() and any(mark in path for mark in "*?["):
        return sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - a pattern may be absolute
    return [path]


def _globbed(url: str) -> list[str]:
    folder = url[: min(url.find(mark) for mark in "*?[" if mark in url)].rpartition("/")[0]
    try:
        return [e.path for e in files.list_files(folder) if fnmatchcase(e.path, url)]
    except OSError as error:
        raise SourceError(f"‘{folder}’ cannot be listed: {error}.") from None


def _in_folder(folder: str) -> list[str]:
    entries = files.list_files(folder)
    return [entry.path for entry in entries if entry.relative.lower().endswith(SUFFIXES)]


def _meet(one: Bounds, other: Bounds) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _at(bounds: Bounds) -> str:
    west, south, east, north = bounds
    longitude, latitude = (west + east) / 2, (south + north) / 2
    return (
        f"{abs(latitude):.3f}° {'N' if latitude >= 0 else 'S'} "
        f"{abs(longitude):.3f}° {'E' if longitude >= 0 else 'W'}"
    )
