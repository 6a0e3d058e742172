from __future__ import annotations

import os
from pathlib import Path

import pyarrow.parquet as pq

from foveate.catalog import Catalog, Entry, Facts, ImageRow, Split, read_catalog, write_catalog
from foveate.errors import Reason
from foveate.files import FileEntry

ODD = os.fsdecode(b"b/caf\xe9.jpg")


def image_row(path: str, label: str | None, facts: Facts) -> ImageRow:
    return ImageRow(Entry(FileEntry(path, path, 5, f"5-{len(path)}"), label, None), facts)


ONE = Facts("1" * 64, 30, 20, bytes(range(32)))
TWO = Facts("2" * 64, 40, 10, bytes(32))
CATALOG = Catalog(
    (
        image_row("a/1.jpg", "a", ONE),
        image_row("b/1.jpg", "b", ONE),
        image_row(ODD, "b", TWO),
        image_row("b/3.jpg", "b", Facts("3" * 64, reason=Reason.TRUNCATED, detail="It ends.")),
        image_row("b/4.jpg", "b", Facts("", reason=Reason.UNREADABLE, detail="A broken link.")),
        image_row("5.jpg", None, TWO),
    )
)


def test_nothing_vanishes_from_the_counts() -> None:
    assert [row.facts.id[:1] for row in CATALOG.usable] == ["1", "1", "2", "2"]
    assert [row.path for row in CATALOG.quarantine] == ["b/3.jpg", "b/4.jpg"]
    assert len(CATALOG.usable) + len(CATALOG.quarantine) == len(CATALOG.rows)
    assert [row.entry.label for row in CATALOG.labelled] == ["a", "b", "b"]
    assert CATALOG.label_counts() == {"a": 1, "b": 2}
    assert CATALOG.labels_of() == {ONE.id: frozenset("ab"), TWO.id: frozenset("b")}


def test_facts_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "catalog.parquet"
    write_catalog(path, CATALOG)
    assert read_catalog(path) == {
        (row.path, row.entry.file.stamp): row.facts for row in CATALOG.rows
    }


def test_the_file_is_one_row_per_file_for_people_to_read(tmp_path: Path) -> None:
    path = tmp_path / "catalog.parquet"
    write_catalog(path, CATALOG, Split(train=(ONE.id,), test=(TWO.id,)).sides())
    table = pq.read_table(path)
    assert table.column("path").to_pylist() == [
        "a/1.jpg", "b/1.jpg", r"b/caf\xe9.jpg", "b/3.jpg", "b/4.jpg", "5.jpg",
    ]  # fmt: skip
    assert table.column("label").to_pylist() == ["a", "b", "b", "b", "b", None]
    # An image without a label is neither trained nor tested on, even if its bytes are.
    assert table.column("split").to_pylist() == ["train", "train", "test", None, None, None]
    status = ["ok", "ok", "ok", "truncated", "unreadable", "ok"]
    assert table.column("status").to_pylist() == status
    assert table.column("detail").to_pylist()[3] == "It ends."
    assert table.column("id").to_pylist()[4] is None


def test_an_empty_catalog(tmp_path: Path) -> None:
    write_catalog(tmp_path / "catalog.parquet", Catalog(()))
    assert read_catalog(tmp_path / "catalog.parquet") == {}
