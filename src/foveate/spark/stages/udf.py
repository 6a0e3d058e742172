"""The work of `stage_work` as a column of Spark.

A pandas UDF over an iterator of batches rather than `mapInArrow`: every other column, of whatever
type, stays in the Java process, and where nobody asks for the result (`StringIndexer` counting
labels, `count()`) Spark leaves the network out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

import pandas as pd
from pyspark.sql.pandas.functions import pandas_udf

from foveate.spark.stages.work import Work, run_partition

if TYPE_CHECKING:
    from pyspark import Broadcast
    from pyspark.sql import Column

RESULT = "values array<float>, label string, error string"
"""One row of it is an `Outcome`."""


def outcome_column(
    images: Column,
    work: Work,
    shipped: Broadcast[bytes],
    options: Mapping[str, Mapping[str, str]],
) -> Column:
    """A column of structs `RESULT` for a column of images (paths, URLs or bytes)."""

    def outcomes(parts: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        for batch in run_partition(parts, work, shipped, options):
            yield pd.DataFrame(
                {
                    "values": pd.Series([one.values for one in batch], dtype=object),
                    "label": pd.Series([one.label for one in batch], dtype=object),
                    "error": pd.Series([one.error for one in batch], dtype=object),
                }
            )

    # What Spark takes for nondeterministic it computes once: otherwise a filter on the errors would
    # run the network a second time.
    compute = pandas_udf(outcomes, RESULT)  # type: ignore[call-overload]
    return cast("Column", compute.asNondeterministic()(images))
