"""The index of tiles: a GeoParquet table, one row a tile, that every room reads as a source.

The columns `path`, `label` and those of a place (`x`, `y`, `size`, `block`) are what
`catalog.read_source` wants of any table; the others tell where a tile comes from. Any program that
reads GeoParquet shows its squares on a map.

Source: GeoParquet specification 1.1.0, https://geoparquet.org.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from foveate import files
from foveate.aerial.grid import Grid, TileKey, parse_crs, parse_key
from foveate.errors import SourceError

NAME = "metadata.parquet"
"""What the index is called in a folder of tiles, where `catalog.read_source` finds it."""

ROWS = 50_000
"""Of a row group."""

_META = b"foveate"

SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("label", pa.string()),
        ("id", pa.string()),
        ("share", pa.float32()),
        ("nodata", pa.float32()),
        ("ndvi", pa.float32()),
        ("source", pa.string()),
        ("date", pa.date32()),
        ("block", pa.string()),
        ("x", pa.float64()),
        ("y", pa.float64()),
        ("size", pa.float64()),
        ("geometry", pa.binary()),
    ]
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One row.

    Attributes:
        path: of its image: a file beside the index, or the address of a tile.
        key: which tile of the grid.
        label: what the land cover says; None without land cover.
        share: of its area that has the label; None without.
        nodata: share of its pixels without data.
        ndvi: its mean normalised difference vegetation index, -1 to 1; None if not asked for.
        source: the raster it was cut from.
        taken: when that was photographed.
        block: the county or other area that it lies in; None where none were given.
    """

    path: str
    key: TileKey
    label: str | None = None
    share: float | None = None
    nodata: float = 0.0
    ndvi: float | None = None
    source: str = ""
    taken: date | None = None
    block: str | None = None


@dataclass(frozen=True, slots=True)
class TileIndex:
    """An index that was read.

    Attributes:
        grid: of all its tiles.
        tiles: one a row.
        about: what else was written about the cut (see `write_index`).
    """

    grid: Grid
    tiles: tuple[Tile, ...]
    about: Mapping[str, Any] = field(default_factory=dict)


def write_index(
    path: str, grid: Grid, tiles: Iterable[Tile], about: Mapping[str, Any] | None = None
) -> int:
    """Write an index, a local path or URL; it appears whole or not at all.

    Args:
        path: where.
        grid: of the tiles.
        tiles: in any number; they are not all held in memory.
        about: what else to say about the cut, as JSON takes it.

    Returns:
        The number of tiles.

    Raises:
        OSError: it cannot be written.
    """
    buffer = io.BytesIO()
    said = {"grid": {"crs": grid.crs, "size": grid.size, "pixel": grid.pixel}, **(about or {})}
    schema = SCHEMA.with_metadata(
        {b"geo": json.dumps(geo_metadata(grid)).encode(), _META: json.dumps(said).encode()}
    )
    count = 0
    rows = iter(tiles)
    with pq.ParquetWriter(buffer, schema, compression="zstd") as writer:
        while chunk := list(islice(rows, ROWS)):
            writer.write_table(_table(chunk, grid, schema))
            count += len(chunk)
    files.write_anywhere(path, buffer.getvalue())
    return count


def read_index(path: str) -> TileIndex:
    """Read an index: the file, or the folder of tiles that it lies in.

    Raises:
        SourceError: it is not there, or not an index of tiles.
    """
    try:
        if files.is_folder(path):
            path = files.join(path, NAME)
        table = pq.read_table(pa.BufferReader(files.read_bytes(path)))
        about = json.loads((table.schema.metadata or {})[_META])
        grid = Grid(**about.pop("grid"))
        tiles = tuple(_rows(table, files.parent(path)))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise SourceError(
            f"‘{path}’ is not an index of tiles ({error}). `foveate tiles cut` writes one."
        ) from None
    return TileIndex(grid, tiles, about)


def geo_metadata(grid: Grid, column: str = "geometry") -> dict[str, Any]:
    """What GeoParquet wants to know of a table whose column holds the squares of a grid."""
    return {
        "version": "1.1.0",
        "primary_column": column,
        "columns": {
            column: {
                "encoding": "WKB",
                "geometry_types": ["Polygon"],
                "crs": parse_crs(grid.crs).to_json_dict(),
            }
        },
    }


def squares(grid: Grid, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> pa.Array:
    """The outlines of n tiles as WKB, each counterclockwise from its lower left corner.

    Args:
        grid: of the tiles.
        rows: (n,) of the grid.
        cols: (n,) of the grid.
    """
    import shapely

    left, bottom = cols * grid.size, rows * grid.size
    right, top = left + grid.size, bottom + grid.size
    x = np.stack([left, right, right, left, left], axis=-1)
    y = np.stack([bottom, bottom, top, top, bottom], axis=-1)
    outlines = shapely.polygons(np.stack([x, y], axis=-1, dtype=np.float64))
    return pa.array(shapely.to_wkb(outlines), pa.binary())


def _table(tiles: Sequence[Tile], grid: Grid, schema: pa.Schema) -> pa.Table:
    centres = np.array([grid.centre(tile.key) for tile in tiles], np.float64).reshape(-1, 2)
    columns: dict[str, object] = {
        "path": [files.printable(tile.path) for tile in tiles],
        "label": [tile.label for tile in tiles],
        "id": [str(tile.key) for tile in tiles],
        "share": [tile.share for tile in tiles],
        "nodata": [tile.nodata for tile in tiles],
        "ndvi": [tile.ndvi for tile in tiles],
        "source": [files.printable(tile.source) for tile in tiles],
        "date": [tile.taken for tile in tiles],
        "block": [tile.block for tile in tiles],
        "x": centres[:, 0],
        "y": centres[:, 1],
        "size": np.full(len(tiles), grid.size),
        "geometry": squares(
            grid,
            np.array([tile.key.row for tile in tiles], np.int64),
            np.array([tile.key.col for tile in tiles], np.int64),
        ),
    }
    return pa.table(columns, schema=schema)


def _rows(table: pa.Table, folder: str) -> Iterator[Tile]:
    names = ("path", "id", "label", "share", "nodata", "ndvi", "source", "date", "block")
    columns = (table.column(name).to_pylist() for name in names)
    for path, key, *rest in zip(*columns, strict=True):
        yield Tile(files.join(folder, path), parse_key(key), *rest)
