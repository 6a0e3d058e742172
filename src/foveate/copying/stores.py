"""A folder that files are copied from or to: local, or behind a URL."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from foveate.errors import CopyError
from foveate.files import printable

CHUNK = 4 * 2**20
"""Bytes read at a time."""

Kind = Literal["file", "folder"]


@dataclass(frozen=True, slots=True)
class Stored:
    """One file of a store.

    Attributes:
        relative: its path below the store's folder, with forward slashes.
        address: what the store itself calls it.
        size: bytes; None where the store does not tell, or the file cannot be looked at.
        stamp: changes whenever the contents may have changed; empty: nobody knows.
        md5: of its contents, in hexadecimal digits, if the store tells it. It may be something
            else of that form: if it is equal, the contents are; otherwise it says nothing.
        usable: False for what cannot be looked at: a broken link, a folder without access.
    """

    relative: str
    address: str
    size: int | None
    stamp: str
    md5: str | None = None
    usable: bool = True


class NewFile(Protocol):
    """A file on its way into a store; nobody sees it before all of it is there."""

    def write(self, chunk: bytes) -> None:
        """Send some more of it."""

    def finish(self) -> None:
        """Everything was sent: let it reach the store."""

    def stored(self) -> Stored:
        """What the store says it has received."""

    def read(self) -> Iterator[bytes]:
        """What the store has received, read back in chunks."""

    def publish(self) -> Stored:
        """Give it its name, where `finish` has not done so already."""


class Store(Protocol):
    """A folder with files, local or behind a URL."""

    @property
    def name(self) -> str:
        """The path or URL as the user knows it."""

    @property
    def identity(self) -> tuple[object, str]:
        """Which file system it is of, and its path there."""

    def kind(self) -> Kind | None:
        """Whether it is a folder, or a file after all; None: there is nothing yet."""

    def parent(self) -> tuple[Store, str]:
        """The folder that it is in, and its name there."""

    def files(self) -> Iterator[Stored]:
        """Every file below it, hidden ones left out, sorted by path."""

    def look(self, relative: str, address: str | None = None) -> Stored:
        """One file as it is now.

        Args:
            relative: its path below the folder.
            address: what the store calls it, where that was told.

        Raises:
            FileNotFoundError: there is none.
        """

    def check_name(self, relative: str) -> None:
        """Refuse a name that this store would change.

        Raises:
            CopyError: it cannot hold that name.
        """

    def read(self, address: str, size: int | None = None) -> Iterator[bytes]:
        """The contents of a file in chunks of at most `CHUNK` bytes.

        Args:
            address: what the store calls it.
            size: bytes, if known.
        """

    def create(self, relative: str, size: int | None, mark: str) -> AbstractContextManager[NewFile]:
        """A new file, which is given up when the context ends by an error.

        Args:
            relative: where it will be.
            size: bytes, if known.
            mark: what its temporary file, if it needs one, is called after: the next attempt of
                the same copy takes its place.
        """


def refuse_unsafe(relative: str) -> None:
    """Refuse what would not stay below a folder, or become another name there.

    Blob stores take any text as a name: `../../x`, `a//b`, `./c`.

    Raises:
        CopyError: it is such a name.
    """
    parts = relative.split("/")
    if not relative or "\0" in relative or set(parts) & {"", ".", ".."}:
        raise CopyError(f"‘{printable(relative)}’ is not a name that a folder can hold")


def missing(path: str) -> FileNotFoundError:
    """That a file is not there."""
    return FileNotFoundError(errno.ENOENT, "it is not there", path)


def temporary_name(relative: str, mark: str) -> str:
    """A hidden name of bounded length for a file that is not complete."""
    return f".foveate-{hashlib.sha256(os.fsencode(mark + relative)).hexdigest()[:24]}.part"
