"""Read a SOURCE: which files there are, and which label each one carries.

A SOURCE is one of

- a project: a folder with `foveate.toml`, its images in `images/<label>/`;
- a folder with one subfolder per label;
- a folder with `train/` and `test/`, the labels below them: it brings its own split;
- a folder with `metadata.csv`, `metadata.jsonl` or `metadata.parquet`;
- a CSV, JSONL or Parquet file with the columns `path` and `label`, perhaps `split`, and perhaps
  where each image lies: `x`, `y`, `size` and `block` (see `Location`);
- a folder of images without labels, which can be scored but not trained on;

each as a local path or as a URL that fsspec opens.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from foveate import files
from foveate.errors import SettingsError, SourceError

Side = Literal["train", "test"]

TABLE_SUFFIXES = (".csv", ".jsonl", ".parquet")
METADATA_NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
PATH_COLUMNS = ("path", "file_name")
PLACE_COLUMNS = ("x", "y", "size", "block")
COLUMNS = (*PATH_COLUMNS, "label", "split", *PLACE_COLUMNS)
"""All that is read of a table."""
SIDES: Mapping[str, Side] = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
}
VALIDATION = ("val", "valid", "validation")


@dataclass(frozen=True, slots=True)
class Location:
    """Where on the ground an image lies.

    Attributes:
        x: of its centre, m eastwards.
        y: of its centre, m northwards.
        size: a side of the square that it shows, m; 0 where nobody knows.
        block: the county or other area that it is in; None where none is named.
    """

    x: float
    y: float
    size: float = 0.0
    block: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a source, before it was opened.

    Attributes:
        file: path, size and stamp.
        label: its label, None where it has none.
        side: where the source itself put it, None where it brings no split.
        place: where it lies, None where the source does not say.
    """

    file: files.FileEntry
    label: str | None
    side: Side | None
    place: Location | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """What a SOURCE holds.

    Attributes:
        root: the folder or table, as an absolute path or URL.
        project: the project's folder, None where the source is not a project.
        entries: the files, sorted by path.
        empty_labels: label folders without a single file.
    """

    root: str
    project: Path | None
    entries: tuple[Entry, ...]
    empty_labels: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, sorted."""
        return tuple(sorted({entry.label for entry in self.entries if entry.label is not None}))

    def without(self, labels: Iterable[str]) -> Source:
        """The same source without some labels.

        Raises:
            SourceError: there is no such label.
        """
        excluded = {files.normal_form(label) for label in labels}
        if unknown := excluded - {*self.labels, *self.empty_labels}:
            raise SourceError(
                f"There is no label ‘{min(unknown)}’ to leave out. "
                f"The labels are: {', '.join(self.labels)}."
            )
        return replace(
            self,
            entries=tuple(entry for entry in self.entries if entry.label not in excluded),
            empty_labels=tuple(label for label in self.empty_labels if label not in excluded),
        )

    def of(self, entries: Iterable[Entry]) -> Source:
        """The same source with some of its entries."""
        return replace(self, entries=tuple(entries))

    def sampled(self, share: float, seed: int) -> Source:
        """About a share of the entries, each chosen by its own name and the seed.

        What is chosen of a file does not depend on the others: a folder that has grown keeps its
        sample, and gets some of the new files.

        Raises:
            SettingsError: the share is not in (0, 1].
            SourceError: nothing is left.
        """
        if not 0 < share <= 1:
            raise SettingsError(f"A share to sample is above 0 and at most 1, not {share:g}.")
        if share == 1:
            return self
        chosen = [entry for entry in self.entries if _drawn(entry.file.relative, seed) < share]
        if not chosen:
            raise SourceError(
                f"A sample of {share:g} leaves none of {len(self.entries)} files. Ask for more."
            )
        return replace(self, entries=tuple(chosen))

    def limited(self, count: int | None) -> Source:
        """At most `count` entries, taken evenly over the sorted list, so in every label."""
        n = len(self.entries)
        if count is None or count >= n:
            return self
        return replace(self, entries=tuple(self.entries[i * n // count] for i in range(count)))


def _drawn(name: str, seed: int) -> float:
    """A number in [0, 1) that a name and a seed always give."""
    data = f"{seed} {name}".encode("utf-8", "surrogatepass")
    return int(files.digest(data)[:13], 16) / 16**13


def read_source(source: str | Path) -> Source:
    """List the files of a SOURCE with their labels; no image is opened.

    Raises:
        SourceError: it is not there, it is not one of the forms above, or it holds no files.
    """
    root = files.absolute(str(source))
    project = None
    empty: tuple[str, ...] = ()
    try:
        if not files.exists(root):
            raise SourceError(f"There is no folder or file ‘{files.printable(str(source))}’.")
        if not files.is_folder(root):
            entries = tuple(_read_table(root))
        else:
            if files.exists(files.join(root, "foveate.toml")):
                # Derived data of a remote project is kept in the user's cache.
                project = None if files.is_url(root) else Path(root)
                root = files.join(root, "images")
            entries, empty = _read_folder(root)
    except OSError as error:
        raise SourceError(f"‘{files.printable(root)}’ cannot be read: {error}") from None
    if not entries:
        raise SourceError(
            f"‘{files.printable(root)}’ holds no files. "
            "Put the images there, in one subfolder per label."
        )
    return Source(root, project, entries, empty)


def read_test_list(path: str | Path, source: Source) -> Source:
    """The source with its split given by a list of test files, one path a line.

    A path is relative to the source, to the list itself, or absolute.

    Raises:
        SourceError: the list cannot be read, is empty, or names a file that is not in the source.
    """
    try:
        text = files.read_bytes(str(path)).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"The list of test files ‘{path}’ cannot be read: {error}") from None
    names = [line.strip() for line in text.split("\n") if line.strip()]
    if not names:
        raise SourceError(f"The list of test files ‘{path}’ is empty.")
    by_name: dict[str, int] = {}
    for index, entry in enumerate(source.entries):
        by_name[entry.file.relative] = by_name[entry.file.path] = index
    beside = files.parent(str(path))
    test = set()
    for name in names:
        relative = str(PurePosixPath(name))
        listed = by_name.get(relative, by_name.get(files.absolute(files.join(beside, name))))
        if listed is None:
            raise SourceError(f"The test file ‘{name}’ in ‘{path}’ is not in {source.root}.")
        test.add(listed)
    entries = tuple(
        replace(entry, side="test" if index in test else "train")
        for index, entry in enumerate(source.entries)
    )
    return replace(source, entries=entries)


def _read_folder(root: str) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    for name in METADATA_NAMES:
        if files.exists(files.join(root, name)):
            return tuple(_read_table(files.join(root, name))), ()
    listed = list(files.list_files(root))
    folders = _subfolders(root, listed)
    sides = _sides(folders)
    entries = []
    for file in listed:
        parts = file.relative.split("/")
        side = sides.get(parts[0]) if len(parts) > 1 else None
        if side is not None:
            parts = parts[1:]
        elif sides:
            # Beside `train/` and `test/` nothing has a label.
            parts = parts[-1:]
        # A label folder that cannot be entered is listed as if it were a file.
        is_below_label = len(parts) > 1 or (not sides and parts[0] in folders)
        label = files.normal_form(parts[0]) or None if is_below_label else None
        entries.append(Entry(file, label, side))
    if sides:
        return tuple(entries), ()
    labels = {entry.label for entry in entries}
    empty = {files.normal_form(folder) for folder in folders} - labels - {""}
    return tuple(entries), tuple(sorted(empty))


def _subfolders(root: str, listed: list[files.FileEntry]) -> set[str]:
    with_files = {file.relative.split("/")[0] for file in listed if "/" in file.relative}
    if files.is_url(root):  # a blob store has no empty folders
        return with_files
    return with_files | {
        child.name
        for child in Path(root).iterdir()
        if child.is_dir() and not files.is_hidden(child.name)
    }


def _sides(folders: set[str]) -> dict[str, Side]:
    """Which top folders are sides of a given split; empty where the source brings none.

    A validation folder beside `test/` joins the training images, from which foveate makes its
    own folds; without `test/` it is what the source has to test on.
    """
    sides = {folder: SIDES[folder.lower()] for folder in folders if folder.lower() in SIDES}
    validation = [folder for folder in folders if folder.lower() in VALIDATION]
    if "train" not in sides.values():
        return {}
    role: Side = "train" if "test" in sides.values() else "test"
    sides |= dict.fromkeys(validation, role)
    return sides if "test" in sides.values() else {}


def _read_table(path: str) -> Iterator[Entry]:
    folder = files.parent(path)
    rows = _table_rows(path)
    first = next(rows, None)
    if first is None:
        return
    column = next((name for name in PATH_COLUMNS if name in first), None)
    if column is None:
        raise SourceError(
            f"‘{path}’ has no column ‘path’; its columns are: {', '.join(map(str, first))}."
        )
    seen: set[tuple[str, str | None]] = set()
    entries = []
    for number, row in enumerate([first, *rows], start=1):
        name = row.get(column)
        if not isinstance(name, str) or not name:
            raise SourceError(f"Row {number} of ‘{path}’ has no path.")
        file = replace(files.file_entry(files.join(folder, name)), relative=name)
        label = row.get("label")
        text = files.normal_form(str(label)) if label is not None else ""
        if (file.path, text) not in seen:
            seen.add((file.path, text))
            side = _side(row.get("split"), number, path)
            entries.append(Entry(file, text or None, side, _place(row, number, path)))
    yield from sorted(entries, key=lambda entry: entry.file.relative)


def _side(value: object, number: int, path: str) -> Side | None:
    if value is None or value == "":
        return None
    text = str(value).lower()
    if text in VALIDATION:
        return "train"
    if text not in SIDES:
        raise SourceError(
            f"Row {number} of ‘{path}’ has the split ‘{value}’; it must be train or test."
        )
    return SIDES[text]


def _place(row: Mapping[str, object], number: int, path: str) -> Location | None:
    x, y, size, block = (row.get(name) for name in PLACE_COLUMNS)
    if x in (None, "") or y in (None, ""):
        return None
    try:
        place = Location(
            float(str(x)), float(str(y)), float(str(size or 0)), str(block) if block else None
        )
    except ValueError:
        place = Location(math.nan, math.nan)
    if not (math.isfinite(place.x) and math.isfinite(place.y) and place.size >= 0):
        raise SourceError(f"Row {number} of ‘{path}’ has a place that is not made of numbers.")
    return place


def _table_rows(path: str) -> Iterator[Mapping[str, object]]:
    suffix = PurePosixPath(path).suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise SourceError(
            f"‘{path}’ is neither a folder nor a table. "
            f"A table of images ends in {', '.join(TABLE_SUFFIXES)}."
        )
    data = files.read_bytes(path)
    try:
        if suffix == ".csv":
            yield from csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        elif suffix == ".jsonl":
            for line in data.decode("utf-8-sig").split("\n"):
                if line.strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise ValueError(f"a line is not a JSON object: {line[:60]}")
                    yield row
        else:
            import pyarrow.parquet as pq

            table = pq.ParquetFile(io.BytesIO(data))
            there = [name for name in table.schema_arrow.names if name in COLUMNS]
            if not set(there) & set(PATH_COLUMNS):
                there = table.schema_arrow.names  # the error names them
            yield from table.read(columns=there).to_pylist()
    except (ValueError, csv.Error) as error:  # also UnicodeDecodeError and Arrow's errors
        raise SourceError(f"‘{path}’ cannot be read as a table: {error}") from None
