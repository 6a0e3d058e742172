"""A map as GeoParquet: one square a tile, for programs that show tables on a map."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from foveate.aerial.index import ROWS, geo_metadata, squares
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


def _named(classes: NDArray[np.int16], names: tuple[str, ...]) -> pa.Array:
    """Names of classes; null for -1."""
    indices = pa.array(classes.astype(np.int32), mask=classes == NOTHING)
    column = pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string()))
    return column.dictionary_decode()
