"""What is wrong with the images of a catalog."""

from __future__ import annotations

from foveate.catalog import (
    Catalog,
    Duplicates,
    Entry,
    Facts,
    ImageRow,
    Side,
    find_problems,
)
from foveate.errors import Reason
from foveate.files import FileEntry


def row(
    path: str,
    image: str,
    label: str | None = "a",
    *,
    side: Side | None = None,
    width: int = 64,
    reason: Reason | None = None,
) -> ImageRow:
    facts = Facts(image, width, 64, bytes(32), reason, "detail" if reason else "")
    return ImageRow(Entry(FileEntry(path, path, 1, "stamp"), label, side), facts)


def test_every_problem_is_named_once() -> None:
    catalog = Catalog(
        (
            row("a/1", "x", side="train"),
            row("a/2", "y", side="test"),
            row("a/3", "z", width=31),
            row("b/1", "z", "b"),
            row("b/2", "", "b", reason=Reason.TRUNCATED),
            row("loose", "w", None),
        )
    )
    duplicates = Duplicates({"x": 0, "y": 0, "z": 1, "w": 2}, 1, 1, ("z",))
    found = find_problems(catalog, duplicates)
    assert [(one.path, one.reason, one.detail) for one in found.refused] == [
        ("b/2", "truncated", "detail")
    ]
    assert found.unlabelled == ["loose"]
    assert found.tiny == ["a/3"]
    assert found.duplicates == [["a/1", "a/2"], ["a/3", "b/1"]]
    assert found.contradictory == [["a/3", "b/1"]]
    assert found.leaks == [["a/1", "a/2"]]
    assert found.to_json()["refused"] == [
        {"path": "b/2", "reason": "truncated", "detail": "detail"}
    ]


def test_a_clean_catalog_has_none() -> None:
    catalog = Catalog((row("a/1", "x"), row("b/1", "y", "b")))
    found = find_problems(catalog, Duplicates({"x": 0, "y": 1}, 0, 0, ()))
    assert not any(found.to_json().values())
