"""The parts of a finished job as one file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from foveate import files
from foveate.predictions import read_table
from foveate.spark.jobs.job import Finished
from foveate.spark.jobs.worker import REFUSED


def merge_parts(finished: Finished, out: str) -> None:
    """Write all parts, in the order of their images, as one file; one part at a time in memory.

    Args:
        finished: the job.
        out: the file, a local path or URL, of the same suffix as the parts.

    Raises:
        OSError: a part cannot be read, or the file not written.
    """
    job = finished.job
    parts = (read_table(job.part(shard)) for shard in finished.shards)
    _merge_refused(finished, out)
    with _whole(out) as file:
        if job.suffix == ".csv":
            _write_csv(parts, file)
        else:
            _write_parquet(parts, file)


def _write_parquet(parts: Iterator[pa.Table], file: IO[bytes]) -> None:
    first = next(parts)
    # Floats gain nothing from a dictionary; text that repeats does.
    text = [field.name for field in first.schema if pa.types.is_string(field.type)]
    with pq.ParquetWriter(file, first.schema, use_dictionary=text) as writer:
        writer.write_table(first)
        for part in parts:
            writer.write_table(part)


def _write_csv(parts: Iterator[pa.Table], file: IO[bytes]) -> None:
    for number, part in enumerate(parts):
        pc.write_csv(part, file, pc.WriteOptions(include_header=number == 0))


def _merge_refused(finished: Finished, out: str) -> None:
    """The list of refused images beside the file, which has no rows for them."""
    job = finished.job
    parts = [
        files.join(job.out, f"{REFUSED}/part-{tally.shard}.parquet")
        for tally in finished.tallies
        if tally.refused
    ]
    if job.kind == "featurize" and parts:
        with _whole(refused_beside(out)) as file:
            _write_parquet((read_table(path) for path in parts), file)


def refused_beside(out: str) -> str:
    """Where the refused images of `features.parquet` are listed: `features.refused.parquet`."""
    return f"{out.removesuffix('.parquet')}.refused.parquet"


@contextmanager
def _whole(path: str) -> Iterator[IO[bytes]]:
    """A file that appears whole or not at all, local or behind a URL."""
    if not files.is_url(path):
        with files.atomic_write(Path(path)) as file:
            yield file
        return
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / "whole"
        with local.open("wb") as file:
            yield file
        files.upload(local, path)
