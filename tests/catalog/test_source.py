from __future__ import annotations

import csv
import io
import json
import os
import re
import tempfile
import unicodedata
from collections import Counter
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from foveate.catalog import Location, Source, read_source, read_test_list
from foveate.errors import SourceError


def put(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def labels(source: Source) -> dict[str, str | None]:
    return {entry.file.relative: entry.label for entry in source.entries}


def sides(source: Source) -> dict[str, str | None]:
    return {entry.file.relative: entry.side for entry in source.entries}


def test_a_folder_is_a_label(tmp_path: Path) -> None:
    put(tmp_path, "cat/1.jpg", "cat/day/2.jpg", "dog/1.jpg", "loose.jpg", "dog/.hidden.jpg", ".x/1")
    source = read_source(tmp_path)
    assert labels(source) == {
        "cat/1.jpg": "cat",
        "cat/day/2.jpg": "cat",
        "dog/1.jpg": "dog",
        "loose.jpg": None,
    }
    assert source.labels == ("cat", "dog")
    assert (source.root, source.project, source.empty_labels) == (str(tmp_path), None, ())
    assert {entry.side for entry in source.entries} == {None}


def test_a_folder_without_subfolders_has_no_labels(tmp_path: Path) -> None:
    source = read_source(put(tmp_path, "1.jpg", "2.jpg"))
    assert labels(source) == {"1.jpg": None, "2.jpg": None}
    assert source.labels == ()


def test_an_empty_label_is_named(tmp_path: Path) -> None:
    put(tmp_path, "cat/1.jpg", "dog/.hidden.jpg")
    (tmp_path / "bird" / "nest").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    source = read_source(tmp_path)
    assert source.empty_labels == ("bird", "dog")
    assert source.without(["bird"]).empty_labels == ("dog",)


@pytest.mark.parametrize("name", ["", "bird", "nowhere", "nul\0", "\ud800", "x" * 300])
def test_a_source_without_files_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "bird").mkdir()
    with pytest.raises(SourceError):
        read_source(str(tmp_path / name))


def test_a_url_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(SourceError, match="nonsense"):
        read_source("nonsense://a/b")


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    with pytest.raises(SourceError, match="neither a folder nor a table"):
        read_source(tmp_path / "a.jpg")


def test_links_and_pipes_never_vanish(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", "far.jpg")
    root = put(tmp_path / "images", "cat/1.jpg", "dog/1.jpg")
    (root / "cat" / "link.jpg").symlink_to(tmp_path / "elsewhere" / "far.jpg")
    (root / "cat" / "broken.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (root / "dog" / "itself.jpg").symlink_to("itself.jpg")
    (root / "dog" / "loop").symlink_to(root)
    (root / "fox").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(root / "dog" / "pipe.jpg")
    source = read_source(root)
    assert labels(source) == {
        "cat/1.jpg": "cat",
        "cat/broken.jpg": "cat",
        "cat/link.jpg": "cat",
        "dog/1.jpg": "dog",
        "dog/itself.jpg": "dog",
        "dog/pipe.jpg": "dog",
        "fox/far.jpg": "fox",
    }
    unusable = {entry.file.relative for entry in source.entries if entry.file.size < 0}
    assert unusable == {"cat/broken.jpg", "dog/itself.jpg", "dog/pipe.jpg"}


def test_a_label_folder_without_access_is_not_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "cat/1.jpg", "locked/1.jpg")
    scandir = os.scandir

    def without_access(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", without_access)
    source = read_source(tmp_path)
    assert labels(source) == {"cat/1.jpg": "cat", "locked": "locked"}
    assert source.empty_labels == ()


def test_odd_names_are_names(tmp_path: Path) -> None:
    names = ("a b/1 2.jpg", "-rf/--help.jpg", "line\nbreak/a\tb.jpg", "🐈/😺.jpg", "x/\\.jpg")
    source = read_source(put(tmp_path, *names))
    # A label is shown on terminals and kept in model files: control characters are spelt out.
    assert set(source.labels) == {"a b", "-rf", "line\\x0abreak", "🐈", "x"}
    assert {entry.file.size for entry in source.entries} == {1}


def test_names_that_are_not_utf_8_are_read(tmp_path: Path) -> None:
    folder = os.path.join(os.fsencode(tmp_path), b"caf\xe9")  # noqa: PTH118 - bytes
    os.mkdir(folder)  # noqa: PTH102
    Path(os.fsdecode(folder), "a.jpg").write_bytes(b"x")
    source = read_source(tmp_path)
    assert source.labels == (r"caf\xe9",)
    assert source.entries[0].file.size == 1


def test_both_spellings_of_a_label_are_one(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    source = read_source(put(tmp_path, f"{composed}/1.jpg", f"{apart}/2.jpg"))
    assert source.labels == (composed,)
    assert len(source.entries) == 2
    assert source.empty_labels == ()


def test_a_label_is_never_blank(tmp_path: Path) -> None:
    source = read_source(put(tmp_path, " /1.jpg", " cat /1.jpg"))
    assert source.labels == ("cat",)
    assert source.empty_labels == ()


def test_train_and_test_folders_are_a_split(tmp_path: Path) -> None:
    put(tmp_path, "train/cat/1", "Test/cat/2", "val/dog/day/3", "train/4", "README", "more/cat/5")
    source = read_source(tmp_path)
    assert labels(source) == {
        "README": None,
        "Test/cat/2": "cat",
        "more/cat/5": None,
        "train/4": None,
        "train/cat/1": "cat",
        "val/dog/day/3": "dog",
    }
    assert sides(source) == {
        "README": None,
        "Test/cat/2": "test",
        "more/cat/5": None,
        "train/4": "train",
        "train/cat/1": "train",
        "val/dog/day/3": "train",
    }


def test_without_test_validation_is_tested_on(tmp_path: Path) -> None:
    source = read_source(put(tmp_path, "training/cat/1", "valid/cat/2"))
    assert sides(source) == {"training/cat/1": "train", "valid/cat/2": "test"}


@pytest.mark.parametrize("other", ["car", "train2"])
def test_a_label_may_be_called_train(tmp_path: Path, other: str) -> None:
    source = read_source(put(tmp_path, "train/1.jpg", f"{other}/1.jpg"))
    assert source.labels == tuple(sorted(("train", other)))
    assert set(sides(source).values()) == {None}


def test_a_project_has_its_images_in_a_folder(tmp_path: Path) -> None:
    put(tmp_path, "foveate.toml", "images/cat/1.jpg", "models/dog/1.jpg")
    source = read_source(tmp_path)
    assert (source.project, source.root) == (tmp_path, str(tmp_path / "images"))
    assert labels(source) == {"cat/1.jpg": "cat"}


def test_a_project_without_images_says_so(tmp_path: Path) -> None:
    put(tmp_path, "foveate.toml")
    with pytest.raises(SourceError, match="images"):
        read_source(tmp_path)


@pytest.mark.parametrize("column", ["path", "file_name"])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_metadata_file_wins_over_the_folders(tmp_path: Path, column: str, kind: str) -> None:
    put(tmp_path, "a/1.jpg", "a/2.jpg")
    lines = {
        "csv": [f"{column},label,colour", "a/1.jpg,cat,red", "a/3.jpg,,"],
        "jsonl": [
            json.dumps({column: "a/1.jpg", "label": "cat", "colour": "red"}),
            "",
            json.dumps({column: "a/3.jpg", "label": None}),
        ],
    }[kind]
    (tmp_path / f"metadata.{kind}").write_text("\n".join(lines))
    source = read_source(tmp_path)
    assert labels(source) == {"a/1.jpg": "cat", "a/3.jpg": None}
    assert [entry.file.size for entry in source.entries] == [1, -1]


def test_a_csv_as_spreadsheets_write_it(tmp_path: Path) -> None:
    put(tmp_path, "a, b.jpg", 'say "x".jpg', "é.jpg")
    (tmp_path / "t.csv").write_bytes(
        "\ufeffpath,label,split\r\n"
        '"a, b.jpg",café,train\r\n'
        '"say ""x"".jpg"," café ",TEST\r\n'
        "é.jpg,cafe\u0301,validation\r\n".encode()
    )
    source = read_source(tmp_path / "t.csv")
    assert source.labels == ("café",)
    assert sides(source) == {"a, b.jpg": "train", 'say "x".jpg': "test", "é.jpg": "train"}
    assert all(entry.file.size == 1 for entry in source.entries)


def test_a_parquet_table(tmp_path: Path) -> None:
    put(tmp_path, "1.jpg", "2.jpg")
    columns = {
        "path": [str(tmp_path / "2.jpg"), "1.jpg"],
        "label": [7, None],
        "split": ["test", None],
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    source = read_source(tmp_path / "t.parquet")
    assert labels(source) == {str(tmp_path / "2.jpg"): "7", "1.jpg": None}
    assert sides(source) == {str(tmp_path / "2.jpg"): "test", "1.jpg": None}
    assert {entry.file.size for entry in source.entries} == {1}


def test_a_row_that_is_repeated_counts_once_unless_the_label_differs(tmp_path: Path) -> None:
    put(tmp_path, "1.jpg")
    (tmp_path / "t.csv").write_text("path,label\n1.jpg,cat\n./1.jpg,cat\n1.jpg,dog\n")
    assert [entry.label for entry in read_source(tmp_path / "t.csv").entries] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", b"file,label\n1.jpg,cat\n", "columns are: file, label"),
        ("t.csv", b"path,label\n1.jpg,cat\n,dog\n", "Row 2"),
        ("t.csv", b"path,label,split\n1.jpg,cat,both\n", "Row 1 .*‘both’"),
        ("t.csv", b"path,label\n\xff.jpg,cat\n", "cannot be read as a table"),
        ("t.csv", b"path,label\n", "holds no files"),
        ("t.csv", b"", "holds no files"),
        ("t.jsonl", b'{"path": "1.jpg"}\n[1]\n', "not a JSON object"),
        ("t.jsonl", b'{"path": ', "cannot be read as a table"),
        ("t.jsonl", b'{"path": 5}', "Row 1"),
        ("t.parquet", b"PAR1 and then nothing", "cannot be read as a table"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=says):
        read_source(tmp_path / name)


def test_a_name_that_no_file_can_have_is_listed(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text(r'{"path": "\ud800.jpg", "label": "\ud800"}')
    (entry,) = read_source(tmp_path / "t.jsonl").entries
    assert (entry.label, entry.file.size) == (r"\ud800", -1)


TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
NAMES = TEXT.map(lambda text: f"n{text}".replace("://", "").rstrip("/"))
ROWS = st.lists(st.tuples(NAMES, TEXT), min_size=1, max_size=8, unique_by=lambda row: row[0])


def spelt(label: str) -> str:
    """A label in Unicode NFC, its control characters as text."""
    stripped = unicodedata.normalize("NFC", label).strip()
    return re.sub("[\0-\x1f\x7f-\x9f]", lambda found: f"\\x{ord(found[0]):02x}", stripped)


@settings(deadline=None, max_examples=60)
@given(ROWS, st.sampled_from(["csv", "jsonl"]))
@example([("n\u2028\x85.jpg", "a\x1cb")], "jsonl")
def test_a_table_is_read_as_it_was_written(rows: list[tuple[str, str]], kind: str) -> None:
    text = io.StringIO(newline="")
    if kind == "csv":
        csv.writer(text).writerows([("path", "label"), *rows])
    else:
        text.writelines(
            json.dumps({"path": path, "label": label}, ensure_ascii=False) + "\n"
            for path, label in rows
        )
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, f"t.{kind}")
        table.write_bytes(text.getvalue().encode())
        source = read_source(table)
    written = {path: spelt(label) or None for path, label in rows}
    assert labels(source).items() <= written.items()
    assert {entry.file.path for entry in source.entries} == {
        str(Path(folder, path)) for path in written
    }


def test_a_remote_folder_and_table() -> None:
    memory = fsspec.filesystem("memory")
    for name in ("cat/1.jpg", "dog/day/2.jpg", ".hidden/3.jpg"):
        memory.pipe_file(f"/source/{name}", b"xy")
    source = read_source("memory://source")
    assert labels(source) == {"cat/1.jpg": "cat", "dog/day/2.jpg": "dog"}
    assert source.entries[0].file.path == "memory://source/cat/1.jpg"
    assert {entry.file.size for entry in source.entries} == {2}
    memory.pipe_file("/source/t.csv", b"path,label\ncat/1.jpg,a\nmemory://source/no.jpg,b\n")
    table = read_source("memory://source/t.csv")
    assert labels(table) == {"cat/1.jpg": "a", "memory://source/no.jpg": "b"}
    assert [entry.file.size for entry in table.entries] == [2, -1]
    memory.pipe_file("/source/list.txt", b"dog/day/2.jpg\nmemory://source/cat/1.jpg")
    listed = read_test_list("memory://source/list.txt", source)
    assert set(sides(listed).values()) == {"test"}


def test_a_remote_project_keeps_derived_data_local() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/project/foveate.toml", b"")
    memory.pipe_file("/project/images/cat/1.jpg", b"x")
    source = read_source("memory://project")
    assert source.project is None
    assert labels(source) == {"cat/1.jpg": "cat"}


def test_a_limit_spreads_over_the_labels(tmp_path: Path) -> None:
    put(tmp_path, *(f"{label}/{i:02}.jpg" for label in "abcd" for i in range(10)))
    source = read_source(tmp_path)
    limited = source.limited(8)
    assert Counter(entry.label for entry in limited.entries) == dict.fromkeys("abcd", 2)
    assert source.limited(None) == source.limited(40) == source.limited(1000) == source


def test_labels_can_be_left_out(tmp_path: Path) -> None:
    source = read_source(put(tmp_path, "café/1.jpg", "dog/1.jpg", "loose.jpg"))
    without = source.without([unicodedata.normalize("NFD", "café")])
    assert labels(without) == {"dog/1.jpg": "dog", "loose.jpg": None}
    with pytest.raises(SourceError, match=r"‘fox’.*café, dog"):
        source.without(["dog", "fox"])


def test_a_list_of_test_files(tmp_path: Path) -> None:
    root = put(tmp_path / "images", "cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/2.jpg")
    chosen = tmp_path / "lists" / "test.txt"
    chosen.parent.mkdir()
    lines = ["./cat/1.jpg", "", f"  {root}/cat/2.jpg", "../images/dog/1.jpg"]
    chosen.write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    source = read_test_list(chosen, read_source(root))
    assert sides(source) == {
        "cat/1.jpg": "test",
        "cat/2.jpg": "test",
        "dog/1.jpg": "test",
        "dog/2.jpg": "train",
    }


def test_a_list_replaces_the_split_of_the_source(tmp_path: Path) -> None:
    source = read_source(put(tmp_path, "train/cat/1", "test/cat/2"))
    (tmp_path / "list.txt").write_text("train/cat/1")
    listed = read_test_list(tmp_path / "list.txt", source)
    assert sides(listed) == {"train/cat/1": "test", "test/cat/2": "train"}


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"cat/9.jpg", "‘cat/9.jpg’"), (b"\n \n", "empty"), (b"\xff", "cannot be read")],
)
def test_a_wrong_list_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    source = read_source(put(tmp_path / "images", "cat/1.jpg"))
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(SourceError, match=says):
        read_test_list(tmp_path / "list.txt", source)
    with pytest.raises(SourceError, match="cannot be read"):
        read_test_list(tmp_path / "nowhere.txt", source)


def test_a_table_says_where_its_images_lie(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png", "c.png")
    (tmp_path / "t.csv").write_text(
        "path,label,x,y,size,block\na.png,q,100.5,-7,224,Essex\nb.png,q,1,2,,\nc.png,q,,,,\n"
    )
    first, second, third = read_source(tmp_path / "t.csv").entries
    assert first.place == Location(100.5, -7.0, 224.0, "Essex")
    assert second.place == Location(1.0, 2.0)
    assert third.place is None


@pytest.mark.parametrize("x", ["east", "nan", "inf"])
def test_a_place_is_made_of_numbers(tmp_path: Path, x: str) -> None:
    (tmp_path / "t.csv").write_text(f"path,label,x,y\na.png,q,{x},0\n")
    with pytest.raises(SourceError, match=r"Row 1 of .* has a place that is not made of numbers"):
        read_source(tmp_path / "t.csv")


def test_a_folder_with_a_parquet_table(tmp_path: Path) -> None:
    put(tmp_path, "deep/a.png", "not-listed.png")
    table = pa.table({"path": ["deep/a.png"], "label": ["q"], "geometry": [b"shape"]})
    pq.write_table(table, tmp_path / "metadata.parquet")
    assert labels(read_source(tmp_path)) == {"deep/a.png": "q"}
