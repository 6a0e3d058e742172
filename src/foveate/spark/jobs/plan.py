"""The work of a cluster cut into shards: the images of one task, about as many bytes in each.

A plan is kept in a folder as Parquet files of some hundred shards, a row group a shard, so that
a task reads its own shard and nothing else, and no list of files goes through Spark.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from foveate import files
from foveate.catalog import Entry

SHARDS_PER_CORE = 4
"""At least, so that no core waits long for the last one."""

LEAST_BYTES, MOST_BYTES = 2**20, 2**26
"""Of a shard. The most is some seconds of work: what is lost when a worker dies."""

BYTES_OF_SMALL_FILE = 2**15
"""What a file counts at least: below, opening it and the network cost more than its bytes."""

SHARDS_PER_FILE = 500

_SCHEMA = pa.schema(
    [
        ("shard", pa.string()),
        # Bytes: the name of a file need not be Unicode.
        ("path", pa.binary()),
        ("relative", pa.binary()),
        ("size", pa.int64()),
        ("stamp", pa.string()),
        ("label", pa.string()),
        ("side", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Shard:
    """The images of one task.

    Attributes:
        id: 16 hexadecimal digits that stand for the job and these images as they are now.
        entries: the files.
    """

    id: str
    entries: tuple[Entry, ...]


def plan_shards(
    entries: Sequence[Entry], *, key: str, cores: int, earlier: Sequence[Shard] = ()
) -> list[Shard]:
    """Cut files into shards.

    A shard of an earlier plan stays if all its files are as they were: what was done is not done
    again because a folder has grown.

    Args:
        entries: the files, in the order in which their rows come.
        key: stands for everything else that the result depends on.
        cores: of the cluster.
        earlier: an earlier plan with the same key.

    Returns:
        Shards that hold every file once.
    """
    wanted = set(entries)
    kept = [shard for shard in earlier if wanted.issuperset(shard.entries)]
    done = {entry for shard in kept for entry in shard.entries}
    rest = [entry for entry in entries if entry not in done]
    return kept + [Shard(_id(key, chunk), chunk) for chunk in _chunks(rest, cores)]


def write_plan(folder: str, shards: Sequence[Shard]) -> None:
    """Write a plan to a folder, a local path or URL.

    Raises:
        OSError: it cannot be written.
    """
    for number, start in enumerate(range(0, len(shards), SHARDS_PER_FILE)):
        buffer = io.BytesIO()
        with pq.ParquetWriter(buffer, _SCHEMA, compression="zstd") as writer:
            for shard in shards[start : start + SHARDS_PER_FILE]:
                writer.write_table(_table(shard), row_group_size=max(len(shard.entries), 1))
        files.write_anywhere(_file(folder, number), buffer.getvalue())


def read_shard(folder: str, index: int) -> Shard:
    """One shard of a plan.

    Raises:
        OSError: it cannot be read.
    """
    number, group = divmod(index, SHARDS_PER_FILE)
    with files.open_file(_file(folder, number)) as file:
        return _shard(pq.ParquetFile(file).read_row_group(group))


def read_plan(folder: str, count: int) -> Iterator[Shard]:
    """All `count` shards of a plan, in order.

    Raises:
        OSError: it cannot be read.
    """
    for number in range(-(-count // SHARDS_PER_FILE)):
        with files.open_file(_file(folder, number)) as file:
            parquet = pq.ParquetFile(file)
            for group in range(parquet.num_row_groups):
                yield _shard(parquet.read_row_group(group))


def _chunks(entries: Sequence[Entry], cores: int) -> Iterator[tuple[Entry, ...]]:
    weights = [max(entry.file.size, BYTES_OF_SMALL_FILE) for entry in entries]
    share = sum(weights) / (SHARDS_PER_CORE * max(cores, 1))
    enough = min(max(share, LEAST_BYTES), MOST_BYTES)
    start, weight = 0, 0
    for end, one in enumerate(weights, start=1):
        weight += one
        if weight >= enough or end == len(weights):
            yield tuple(entries[start:end])
            start, weight = end, 0


def _id(key: str, entries: Sequence[Entry]) -> str:
    words = [key]
    for entry in entries:
        words += [entry.file.path, entry.file.stamp, entry.label or "", entry.side or ""]
    return files.digest("\0".join(words).encode("utf-8", "surrogatepass"))[:16]


def _file(folder: str, number: int) -> str:
    return files.join(folder, f"{number:05}.parquet")


def _table(shard: Shard) -> pa.Table:
    paths = [entry.file for entry in shard.entries]
    columns = {
        "shard": [shard.id] * len(paths),
        "path": [_as_bytes(file.path) for file in paths],
        "relative": [_as_bytes(file.relative) for file in paths],
        "size": [file.size for file in paths],
        "stamp": [file.stamp for file in paths],
        "label": [entry.label for entry in shard.entries],
        "side": [entry.side for entry in shard.entries],
    }
    return pa.table(columns, schema=_SCHEMA)


def _shard(table: pa.Table) -> Shard:
    rows = table.to_pylist()
    entries = tuple(
        Entry(
            files.FileEntry(
                _as_text(row["path"]), _as_text(row["relative"]), row["size"], row["stamp"]
            ),
            row["label"],
            row["side"],
        )
        for row in rows
    )
    return Shard(rows[0]["shard"], entries)


def _as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _as_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")
