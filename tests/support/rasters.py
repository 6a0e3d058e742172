"""Small rasters that are drawn by code: imagery, land cover, counties."""

from __future__ import annotations

import json
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

from foveate.aerial.grid import Grid, TileKey

UTM = "EPSG:32614"
ALBERS = "EPSG:5070"
LEFT, TOP = 500_000.0, 5_200_000.0
"""Upper left corner of what is drawn: on the central meridian of zone 14, 47° north."""


def noise(bands: int, side: int | tuple[int, int], dtype: str = "uint8", seed: int = 0) -> Any:
    """(bands, height, width) of values from 1 up, so that 0 can stand for no data."""
    height, width = (side, side) if isinstance(side, int) else side
    most = {"uint8": 255, "uint16": 20_000}.get(dtype, 100)
    drawn = np.random.default_rng(seed).integers(1, most, (bands, height, width))
    return drawn.astype(dtype)


def write_raster(
    path: Path,
    values: NDArray[Any],
    *,
    left: float = LEFT,
    top: float = TOP,
    pixel: float = 1.0,
    crs: str | None = UTM,
    nodata: float | None = None,
    alpha: int | None = None,
    **options: Any,
) -> str:
    """A GeoTIFF of (bands, height, width) values, or (height, width); its path as text."""
    bands = values if values.ndim == 3 else values[None]
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=bands.shape[0],
        height=bands.shape[1],
        width=bands.shape[2],
        dtype=bands.dtype,
        crs=crs,
        transform=from_origin(left, top, pixel, pixel),
        nodata=nodata,
        **options,
    ) as dataset:
        dataset.write(bands)
        if alpha is not None:
            meanings = [ColorInterp.gray] * bands.shape[0]
            meanings[alpha - 1] = ColorInterp.alpha
            dataset.colorinterp = meanings
    return str(path)


def write_areas(path: Path, areas: dict[str, tuple[float, float, float, float]]) -> str:
    """A GeoJSON of named rectangles in degrees: west, south, east, north."""
    features = [
        {
            "type": "Feature",
            "properties": {"NAME": name},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[w, s], [e, s], [e, n], [w, n], [w, s]]],
            },
        }
        for name, (w, s, e, n) in areas.items()
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return str(path)


def key_at(grid: Grid, x: float, y: float) -> TileKey:
    """The tile that a point lies in."""
    return TileKey(floor(y / grid.size), floor(x / grid.size))
