"""What the header of a raster says: where it lies, its pixels and bands, when it was taken."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

import numpy as np

from foveate.aerial.grid import Bounds, crs_text
from foveate.aerial.raster import open_raster
from foveate.errors import SourceError

_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)[-_]?(0[1-9]|1[0-2])[-_]?(0[1-9]|[12]\d|3[01])(?!\d)")
_TAG = "TIFFTAG_DATETIME"


@dataclass(frozen=True, slots=True)
class RasterFacts:
    """What is known of a raster from its header.

    Attributes:
        path: local path or URL.
        crs: its coordinate reference system, as text; see `grid.crs_text`.
        bounds: left, bottom, right, top in that system.
        geographic_bounds: west, south, east, north in degrees.
        width: pixels.
        height: pixels.
        pixel: a side of a pixel in units of its system, the mean of both.
        bands: how many.
        dtype: of its values.
        gaps: whether some pixels may be without data.
        taken: when, from its name (`…_20180716.tif`) or its tag; None where nothing says so.
    """

    path: str
    crs: str
    bounds: Bounds
    geographic_bounds: Bounds
    width: int
    height: int
    pixel: float
    bands: int
    dtype: str
    gaps: bool
    taken: date | None


def raster_facts(path: str) -> RasterFacts:
    """What the header of a raster says.

    Raises:
        SourceError: it is no raster, or does not say where it lies.
    """
    from pyproj import CRS
    from rasterio.errors import CRSError
    from rasterio.warp import transform_bounds

    raster = open_raster(path)
    dataset = raster.dataset
    if dataset.crs is None or dataset.transform.is_identity:
        lacks = "coordinate reference system" if dataset.crs is None else "position"
        raise SourceError(
            f"‘{path}’ has no {lacks}: nobody can tell where it lies. "
            "Give it one with `gdal_edit.py -a_srs EPSG:… -a_ullr …`, or take another copy."
        )
    try:
        around = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
    except CRSError:
        around = (float("inf"),) * 4
    if not np.isfinite(around).all():
        raise SourceError(
            f"‘{path}’ lies outside of the area that its coordinate reference system is made for, "
            "so it cannot be placed on a map. Is its system the right one?"
        )
    transform = dataset.transform
    return RasterFacts(
        path=path,
        crs=crs_text(CRS.from_wkt(dataset.crs.to_wkt())),
        bounds=tuple(dataset.bounds),
        geographic_bounds=tuple(around),
        width=dataset.width,
        height=dataset.height,
        pixel=float(np.sqrt(abs(transform.determinant))),
        bands=dataset.count,
        dtype=dataset.dtypes[0],
        gaps=raster.has_gaps,
        taken=taken_from(path, dataset.tags().get(_TAG, "")),
    )


def taken_from(path: str, tag: str = "") -> date | None:
    """When a raster was photographed, as its name (`…_20180716.tif`) or else its tag says."""
    for text in (path.replace("\\", "/").rpartition("/")[2], tag.replace(":", "-")):
        for match in _DATE.finditer(text):
            try:
                return date(int(match[1]), int(match[2]), int(match[3]))
            except ValueError:
                continue
    return None
