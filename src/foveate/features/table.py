"""Features as a file for others: `id`, `path`, `label`, `features`."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from foveate.catalog import Catalog
from foveate.errors import SettingsError
from foveate.features.cache import StoredFeatures, as_arrow
from foveate.files import atomic_write


def write_features(path: Path, catalog: Catalog, cache: StoredFeatures) -> None:
    """Write the features of every usable image as Parquet, atomically and with flat memory.

    Rows come file by file of the cache, so not in the order of the catalog.

    Raises:
        SettingsError: `path` does not end in `.parquet`.
    """
    if path.suffix.lower() != ".parquet":
        raise SettingsError(f"Features are written as Parquet: ‘{path.name}’ must end in .parquet.")
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("path", pa.string()),
            ("label", pa.string()),
            ("features", pa.list_(pa.float32(), cache.dimension)),
        ]
    )
    rows_of: dict[str, list[tuple[str, str | None]]] = {}
    for row in catalog.usable:
        rows_of.setdefault(row.facts.id, []).append((row.path, row.entry.label))
    with (
        atomic_write(path) as file,
        pq.ParquetWriter(file, schema, use_dictionary=["label"], write_statistics=False) as writer,
    ):
        for ids, features in cache.batches(rows_of):
            take = [i for i, image in enumerate(ids) for _ in rows_of[image]]
            rows = [row for image in ids for row in rows_of[image]]
            columns = [
                pa.array([ids[i] for i in take], pa.string()),
                pa.array([shown for shown, _ in rows], pa.string()),
                pa.array([label for _, label in rows], pa.string()),
                as_arrow(features[take]),
            ]
            writer.write_table(pa.table(columns, schema=schema))
