"""The catalog: one row per image."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa
import pyarrow.parquet as pq

from foveate.catalog.inspect import Facts
from foveate.catalog.source import Entry, Side
from foveate.errors import Reason
from foveate.files import atomic_write, printable


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One file and what is known of it."""

    entry: Entry
    facts: Facts

    @property
    def path(self) -> str:
        """The path as shown to people."""
        return printable(self.entry.file.path)


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every file of a source, those refused included: nothing vanishes.

    Attributes:
        rows: one row per file, sorted by path.
    """

    rows: tuple[ImageRow, ...]

    @property
    def usable(self) -> tuple[ImageRow, ...]:
        """Rows whose image was not refused."""
        return tuple(row for row in self.rows if row.facts.reason is None)

    @property
    def quarantine(self) -> tuple[ImageRow, ...]:
        """Rows whose image was refused."""
        return tuple(row for row in self.rows if row.facts.reason is not None)

    @property
    def labelled(self) -> tuple[ImageRow, ...]:
        """Usable rows with a label."""
        return tuple(row for row in self.usable if row.entry.label is not None)

    def label_counts(self) -> Counter[str]:
        """How many usable images each label has."""
        return Counter(row.entry.label for row in self.labelled if row.entry.label is not None)

    def labels_of(self) -> Mapping[str, frozenset[str]]:
        """Image id → the labels it is found under; more than one is a contradiction."""
        labels: dict[str, set[str]] = defaultdict(set)
        for row in self.labelled:
            if row.entry.label is not None:
                labels[row.facts.id].add(row.entry.label)
        return {image: frozenset(names) for image, names in labels.items()}


SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("path", pa.string()),
        ("label", pa.string()),
        ("split", pa.string()),
        ("size", pa.int64()),
        ("stamp", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("dhash", pa.binary(32)),
        ("status", pa.string()),
        ("detail", pa.string()),
    ]
)


def write_catalog(
    path: Path, catalog: Catalog, sides: Mapping[str, Side] = MappingProxyType({})
) -> None:
    """Write the catalog as Parquet, one row per file; `status` is "ok" or the refusal.

    Args:
        path: of the file.
        catalog: all of it.
        sides: image id → its side of a split.
    """
    table = catalog_table(catalog.rows, sides)
    with atomic_write(path, durable=False) as file_out:
        pq.write_table(table, file_out, compression="zstd")


def catalog_table(
    rows: Sequence[ImageRow], sides: Mapping[str, Side] = MappingProxyType({})
) -> pa.Table:
    """The table that is written, of `SCHEMA`."""
    columns: dict[str, list[object]] = {name: [] for name in SCHEMA.names}
    for row in rows:
        file, facts = row.entry.file, row.facts
        values = (
            facts.id or None,
            row.path,
            row.entry.label,
            sides.get(facts.id) if row.entry.label is not None else None,
            file.size,
            file.stamp,
            facts.width,
            facts.height,
            facts.dhash,
            facts.reason.value if facts.reason else "ok",
            facts.detail or None,
        )
        for name, value in zip(SCHEMA.names, values, strict=True):
            columns[name].append(value)
    return pa.table(columns, schema=SCHEMA)


FACTS = ("id", "width", "height", "dhash", "status", "detail")
"""Columns of `SCHEMA` that `facts_of` reads."""


def facts_of(table: pa.Table) -> list[Facts]:
    """The facts in each row of a table with the columns `FACTS`."""
    columns = [table.column(name).to_pylist() for name in FACTS]
    return [
        Facts(
            image or "",
            width,
            height,
            dhash,
            None if status == "ok" else Reason(status),
            detail or "",
        )
        for image, width, height, dhash, status, detail in zip(*columns, strict=True)
    ]


def read_catalog(path: Path) -> dict[tuple[str, str], Facts]:
    """The facts in a catalog file, by path and stamp."""
    table = pq.read_table(path, columns=["path", "stamp", *FACTS])
    paths, stamps = (table.column(name).to_pylist() for name in ("path", "stamp"))
    return dict(zip(zip(paths, stamps, strict=True), facts_of(table), strict=True))
