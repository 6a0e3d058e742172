"""The county, or any other area of a vector file, that a tile lies in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from foveate import files
from foveate.aerial.grid import Grid, TileKey, parse_crs
from foveate.errors import SettingsError, SourceError


class Areas:
    """Areas with names, read once.

    Args:
        path: a vector file that GDAL reads (GeoPackage, GeoJSON, shapefile, …), local or a URL.
        column: whose values name the areas.

    Raises:
        SourceError: it cannot be read, or does not say where its areas lie.
        SettingsError: it has no such column.
    """

    def __init__(self, path: str, column: str) -> None:
        import shapely
        from pyogrio import read_info
        from pyogrio.errors import DataLayerError, DataSourceError
        from pyogrio.raw import read

        try:
            # A shapefile is several files, so what lies here is read by its name.
            source: Any = path
            if files.is_url(path):
                source = files.read_bytes(path)
            elif not Path(path).exists():
                raise FileNotFoundError("it is not there")
            fields = list(read_info(source)["fields"])
            if column not in fields:
                raise SettingsError(
                    f"‘{path}’ has no column ‘{column}’; its columns are {', '.join(fields)}."
                )
            meta, _, shapes, values = read(source, columns=[column])
        except (DataSourceError, DataLayerError, OSError) as error:
            raise SourceError(f"The areas in ‘{path}’ cannot be read: {error}.") from None
        if not meta["crs"] or shapes is None:
            raise SourceError(f"Nobody can tell where the areas in ‘{path}’ lie: they have no CRS.")
        names = values[0]
        there = [number for number, shape in enumerate(shapes) if shape is not None]
        self._crs = parse_crs(meta["crs"])
        self._names = [str(names[number]) for number in there]
        self._tree = shapely.STRtree(shapely.from_wkb(shapes[there]))

    def of_tiles(self, grid: Grid, keys: Sequence[TileKey]) -> list[str | None]:
        """The area that the centre of each tile lies in, the first where areas overlap; or None."""
        import shapely
        from pyproj import Transformer

        centres = np.array([grid.centre(key) for key in keys], np.float64).reshape(-1, 2)
        there = Transformer.from_crs(parse_crs(grid.crs), self._crs, always_xy=True)
        x, y = there.transform(centres[:, 0], centres[:, 1])
        points, areas = self._tree.query(shapely.points(x, y), predicate="intersects")
        names: list[str | None] = [None] * len(keys)
        for point, area in sorted(zip(points.tolist(), areas.tolist(), strict=True), reverse=True):
            names[point] = self._names[area]
        return names
