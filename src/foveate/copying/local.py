"""A local folder that files are copied from or to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from foveate.copying.stores import (
    CHUNK,
    Kind,
    Store,
    Stored,
    missing,
    refuse_unsafe,
    temporary_name,
)
from foveate.errors import CopyError
from foveate.files import FileEntry, file_entry, list_files, printable
from foveate.writing import output_place


class LocalStore:
    """A local folder.

    Args:
        path: of the folder, or of one file.
    """

    def __init__(self, path: str) -> None:
        self._root = Path(path)

    @property
    def name(self) -> str:
        """The path as the user knows it."""
        return str(self._root)

    @property
    def identity(self) -> tuple[object, str]:
        """Which file system it is of, and its path there, links followed."""
        return "local", os.path.realpath(self._root)

    def kind(self) -> Kind | None:
        """Whether it is a folder, or a file after all; None: there is nothing yet."""
        if self._root.is_dir():
            return "folder"
        return "file" if self._root.exists() else None

    def parent(self) -> tuple[Store, str]:
        """The folder that it is in, and its name there."""
        return LocalStore(str(self._root.absolute().parent)), self._root.absolute().name

    def files(self) -> Iterator[Stored]:
        """Every file below it, hidden ones left out, sorted by path."""
        for entry in list_files(str(self._root)):
            yield _stored(entry, entry.relative)

    def look(self, relative: str, address: str | None = None) -> Stored:
        """One file as it is now."""
        path = Path(address) if address else self._root / relative
        if not os.path.lexists(path):
            raise missing(str(path))
        return _stored(file_entry(str(path)), relative)

    def check_name(self, relative: str) -> None:
        """Refuse a name that would leave the folder, or that the system would change."""
        refuse_unsafe(relative)
        if Path(relative).as_posix() != relative or Path(relative).is_absolute():
            raise CopyError(f"‘{printable(relative)}’ is not a name that a folder can hold")

    def read(
        self,
        address: str,
        size: int | None = None,  # noqa: ARG002 - other stores like to know
    ) -> Iterator[bytes]:
        """The contents of a file in chunks."""
        with Path(address).open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    @contextmanager
    def create(
        self,
        relative: str,
        size: int | None,  # noqa: ARG002 - other stores have to know
        mark: str,
    ) -> Iterator[_NewLocalFile]:
        """A new file."""
        place = output_place(self._root / relative)
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(temporary_name(relative, mark))
        try:
            with temporary.open("wb") as file:
                yield _NewLocalFile(self, file, temporary, relative, place)
        finally:
            temporary.unlink(missing_ok=True)


class _NewLocalFile:
    def __init__(
        self, store: LocalStore, file: IO[bytes], temporary: Path, relative: str, place: Path
    ) -> None:
        self._store, self._file = store, file
        self._temporary, self._relative, self._place = temporary, relative, place

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)

    def finish(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())  # the journal will say that it is there
        self._file.close()

    def stored(self) -> Stored:
        return _stored(file_entry(str(self._temporary)), self._relative)

    def read(self) -> Iterator[bytes]:
        return self._store.read(str(self._temporary))

    def publish(self) -> Stored:
        self._temporary.replace(self._place)
        return self._store.look(self._relative)


def _stored(entry: FileEntry, relative: str) -> Stored:
    if entry.size < 0:
        return Stored(relative, entry.path, None, "", usable=False)
    return Stored(relative, entry.path, entry.size, entry.stamp)
