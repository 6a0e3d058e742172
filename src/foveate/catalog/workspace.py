"""Where derived data lives, and the memory of what was already inspected.

A project keeps it in its `.foveate/`; a bare folder has it in the user's cache. All of it can be
deleted at any time.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from foveate.catalog.inspect import Facts
from foveate.catalog.source import Entry, Source
from foveate.catalog.split import Split
from foveate.catalog.table import Catalog, ImageRow, read_catalog, write_catalog
from foveate.errors import OutputError, SourceError
from foveate.files import digest, printable
from foveate.folders import own_folder
from foveate.writing import output_error

SECONDS_BETWEEN_WRITES = 3.0
ROWS_BETWEEN_WRITES = 256


@dataclass(frozen=True, slots=True)
class Workspace:
    """Folders for derived data.

    Attributes:
        folder: holds `catalog.parquet` and, while a run goes on, `inspected/`.
        features: holds one folder of features per backbone and preprocessing. Bare folders
            share one, so that moving a folder recomputes nothing.
    """

    folder: Path
    features: Path

    @property
    def catalog(self) -> Path:
        """The catalog file."""
        return self.folder / "catalog.parquet"

    @property
    def inspected(self) -> Path:
        """What a run that goes on, or was killed, has inspected so far."""
        return self.folder / "inspected"


def open_workspace(source: Source) -> Workspace:
    """The workspace of a source, made if it is not there yet.

    The environment variable `FOVEATE_CACHE` moves the cache of bare folders. One that can only be
    read serves as long as it holds all features that are needed; what was inspected is then not
    remembered.

    Raises:
        SourceError: there is no folder for features, and none can be made.
    """
    if source.project is not None:
        folder = source.project / ".foveate"
        features = folder / "features"
    else:
        cache = user_cache()
        folder = cache / "sources" / digest(os.fsencode(source.root))[:16]
        features = cache / "features"
    try:
        features.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(not_kept(features, error)) from None
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return Workspace(folder, features)


def not_kept(folder: Path, error: OSError) -> str:
    """The sentence about a folder for derived data that cannot be written."""
    reason = output_error(folder, error).strerror
    return (
        f"Derived data cannot be kept in ‘{folder}’: {reason}. Make room or ask for permission "
        "there; for images outside a project, FOVEATE_CACHE names another folder."
    )


def user_cache() -> Path:
    """The folder for derived data of bare sources.

    Raises:
        OutputError: there is none, as the user has no home.
    """
    return own_folder("FOVEATE_CACHE", "cache")


class FactStore:
    """Remembers the facts of inspected images, so that a killed run goes on where it was.

    Facts found during a run are written every few seconds to a file of their own below
    `inspected/`; `close` folds them into `catalog.parquet`. A refused image is not remembered but
    opened again in the next run: limits change, and refusing is quick.

    Args:
        workspace: None to remember nothing beyond this run.
    """

    def __init__(self, workspace: Workspace | None) -> None:
        self._workspace = workspace
        self._parts: list[Path] = []
        self._by_file: dict[tuple[str, str], Facts] = {}
        if workspace is not None:
            self._parts = sorted(workspace.inspected.glob("*.parquet"))
            for path in (workspace.catalog, *self._parts):
                self._by_file |= _read_if_whole(path)
        self._by_file = {k: facts for k, facts in self._by_file.items() if facts.reason is None}
        self._by_id = {facts.id: facts for facts in self._by_file.values()}
        self._fresh: list[ImageRow] = []
        self._written = time.monotonic()

    def facts_of(self, entry: Entry) -> Facts | None:
        """The facts of a file that has not changed since it was inspected."""
        if not entry.file.stamp:
            return None
        return self._by_file.get((printable(entry.file.path), entry.file.stamp))

    @property
    def by_id(self) -> Mapping[str, Facts]:
        """The facts of every image inspected before, whatever its path was then."""
        return self._by_id

    def add(self, entry: Entry, facts: Facts) -> None:
        """Remember what an inspection found; written to disk within a few seconds."""
        self._fresh.append(ImageRow(entry, facts))
        waited = time.monotonic() - self._written > SECONDS_BETWEEN_WRITES
        if waited or len(self._fresh) >= ROWS_BETWEEN_WRITES:
            self.flush()

    def flush(self) -> None:
        """Write what is not on disk yet."""
        if self._fresh and self._workspace is not None:
            path = self._workspace.inspected / f"{uuid.uuid4().hex}.parquet"
            with suppress(OutputError):  # it is inspected again, then
                write_catalog(path, Catalog(tuple(self._fresh)))
                self._parts.append(path)
        self._fresh = []
        self._written = time.monotonic()

    def close(self, catalog: Catalog, split: Split | None = None) -> None:
        """Write the whole catalog and drop the parts that it replaces."""
        if self._workspace is not None:
            try:
                write_catalog(self._workspace.catalog, catalog, split.sides() if split else {})
            except OutputError:  # the parts are kept, where there are any
                return
        self._fresh = []
        for path in self._parts:
            path.unlink(missing_ok=True)
        self._parts = []


def _read_if_whole(path: Path) -> dict[tuple[str, str], Facts]:
    try:
        return read_catalog(path)
    except (OSError, ValueError, KeyError):
        # Missing, or derived data of another version: it is made again.
        return {}
