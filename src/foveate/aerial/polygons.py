"""A map as GeoParquet: one square a tile, for programs that show tables on a map."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from foveate.aerial.grid import Grid
from foveate.aerial.index import ROWS, geo_metadata
from foveate.aerial.mapping.tilemap import NOTHING

if TYPE_CHECKING:
    from foveate.aerial.mapping.mapping import TilesMapped

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("predicted", pa.string()),
        ("probability", pa.float32()),
        ("smoothed", pa.string()),
        ("label", pa.string()),
        ("trained_on", pa.bool_()),
        ("geometry", pa.binary()),
    ]
)

_POLYGON = np.dtype(
    [
        ("order", "u1"),
        ("type", "<u4"),
        ("rings", "<u4"),
        ("points", "<u4"),
        ("corners", "<f8", (5, 2)),
    ]
)


def polygons(mapped: TilesMapped) -> bytes:
    """A Parquet file with a row for each tile, from north to south and west to east.

    Its columns: `id`, `predicted`, `probability` (of that), `smoothed`, `label` (the known one,
    null where nobody knows), `trained_on` (null where nobody knows), and `geometry`.
    """
    tiles, reference = mapped.predicted, mapped.reference
    down, across = np.nonzero(tiles.classes != NOTHING)
    geo = {b"geo": json.dumps(geo_metadata(tiles.grid)).encode()}
    schema = SCHEMA.with_metadata(geo)
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, schema, compression="zstd") as writer:
        for start in range(0, len(down), ROWS):
            part = down[start : start + ROWS], across[start : start + ROWS]
            rows, cols = tiles.top - part[0], tiles.left + part[1]
            pairs = zip(rows.tolist(), cols.tolist(), strict=True)
            trained = reference.trained
            columns = [
                pa.array([f"r{row:06d}c{col:06d}" for row, col in pairs], pa.string()),
                _named(tiles.classes[part], tiles.labels),
                pa.array(tiles.confidence[part]),
                _named(mapped.smoothed.classes[part], tiles.labels),
                _named(reference.classes[part], reference.labels),
                pa.nulls(len(rows), pa.bool_()) if trained is None else pa.array(trained[part]),
                squares(tiles.grid, rows, cols),
            ]
            writer.write_table(pa.table(columns, schema=schema))
    return buffer.getvalue()


def squares(grid: Grid, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> pa.Array:
    """The outlines of n tiles as WKB, all at once; each as `index.square` makes it.

    Args:
        grid: of the tiles.
        rows: (n,) of the grid.
        cols: (n,) of the grid.
    """
    shapes = np.empty(len(rows), _POLYGON)
    shapes["order"], shapes["type"], shapes["rings"], shapes["points"] = 1, 3, 1, 5
    left, bottom = cols * grid.size, rows * grid.size
    right, top = left + grid.size, bottom + grid.size
    corners = ((left, bottom), (right, bottom), (right, top), (left, top), (left, bottom))
    for number, (x, y) in enumerate(corners):
        shapes["corners"][:, number, 0], shapes["corners"][:, number, 1] = x, y
    ends = np.arange(len(rows) + 1, dtype=np.int32) * _POLYGON.itemsize
    return pa.Array.from_buffers(
        pa.binary(), len(rows), [None, pa.py_buffer(ends), pa.py_buffer(shapes.tobytes())]
    )


def _named(classes: NDArray[np.int16], names: tuple[str, ...]) -> pa.Array:
    """Names of classes; null for -1."""
    indices = pa.array(classes.astype(np.int32), mask=classes == NOTHING)
    found = pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string()))
    return found.dictionary_decode()
