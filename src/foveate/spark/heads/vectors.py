"""From rows of features to what Spark ML fits on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from foveate.heads import unit_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Rows that a worker turns at once: a dozen megabytes in float64.
_ROWS_AT_ONCE = 1024


def as_vectors(data: DataFrame, *, mirrored: bool) -> DataFrame:
    """Rows as Spark ML wants them: vectors of unit length, labels as doubles.

    Args:
        data: columns `row`, `features`, `code` and `weight`; see `fitting.fit_on_spark`.
        mirrored: whether to append a 1 to each vector and reflect it; see `mirror`.

    Returns:
        The same columns, `features` a vector of float64, `code` a double.
    """
    from pyspark.ml.functions import array_to_vector

    chosen = data.select("row", "features", data["code"].cast("double").alias("code"), "weight")
    rows = chosen.mapInArrow(
        partial(ready_rows, mirrored=mirrored),
        "row long, features array<double>, code double, weight double",
    )
    return rows.withColumn("features", array_to_vector(rows["features"]))


def ready_rows(batches: Iterator[pa.RecordBatch], *, mirrored: bool) -> Iterator[pa.RecordBatch]:
    """What a worker does: the very float32 numbers of `unit_rows`, and the mirror in float64."""
    for batch in batches:
        for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
            row, features, code, weight = batch.slice(start, _ROWS_AT_ONCE).columns
            rows = unit_rows(values_of(features)).astype(np.float64)
            if mirrored:
                rows = mirror(np.hstack([rows, np.ones((len(rows), 1))]))
            offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
            vectors = pa.ListArray.from_arrays(offsets, rows.ravel())
            yield pa.RecordBatch.from_arrays(
                [row, vectors, code, weight], names=["row", "features", "code", "weight"]
            )


def values_of(column: pa.ListArray) -> NDArray[np.float32]:
    """A column of equally long lists as (n, d) float32, not copied.

    Raises:
        ValueError: a row has none.
    """
    if column.null_count:
        raise ValueError("every row must have features")
    values: NDArray[np.float32] = column.flatten().to_numpy().reshape(len(column), -1)
    return values


@contextmanager
def kept(rows: DataFrame) -> Iterator[DataFrame]:
    """Rows that the workers keep, in memory or on disk, instead of making them for each pass."""
    from py4j.protocol import Py4JError
    from pyspark import StorageLevel

    rows.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield rows
    finally:
        with suppress(Py4JError):  # where Spark is gone, so are the rows
            rows.unpersist()


def mirror(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Reflect (n, d + 1) vectors so that the last axis becomes the mean direction of all.

    Our intercept is the weight of a feature that is always 1, and penalised like the others.
    Spark's is free of penalty; and a feature that is constant gets no weight from Spark at all.
    Lengths and inner products do not change in a mirror, so the same objective may be minimised
    behind it, where the 1 is spread over all columns and none of them is constant. The mirror of
    a mirror is what was there before: weights come back by the same function.
    """
    normal = np.full(rows.shape[1], -1 / math.sqrt(rows.shape[1]))
    normal[-1] += 1
    normal /= np.linalg.norm(normal)
    reflected: NDArray[np.float64] = rows - 2 * np.outer(rows @ normal, normal)
    return reflected
