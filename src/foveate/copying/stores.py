"""A folder that files are copied from or to: local, or behind a URL."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from foveate.copying.failures import sentence
from foveate.errors import CopyError
from foveate.files import is_url, printable

CHUNK = 4 * 2**20
"""Bytes read at a time."""

_PACKAGES = {
    "abfs": "'foveate[azure]'",
    "abfss": "'foveate[azure]'",
    "az": "'foveate[azure]'",
    "s3": "'foveate[s3]'",
    "s3a": "'foveate[s3]'",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "http": "aiohttp",
    "https": "aiohttp",
}

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


def open_store(place: str) -> Store:
    """The store that a path or URL names; nothing is read yet.

    Raises:
        CopyError: there is no such kind of store, a package for it is missing, or the URL names
            no bucket or container.
    """
    from foveate.copying.local import LocalStore
    from foveate.copying.remote import RemoteStore

    if not place:
        raise CopyError("Name a folder, a file or a URL; ‘’ is none.")
    if not is_url(place):
        return LocalStore(place)
    protocol = place.partition("://")[0].lower()
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    try:
        filesystem, inner = url_to_fs(place)
    except ImportError as error:
        package = _PACKAGES.get(protocol)
        what = f"pip install {package}" if package else str(error)
        raise CopyError(f"‘{protocol}://’ needs a package that is not here: {what}") from None
    except Exception as error:  # every file system has its own about its arguments
        if str(error).startswith("Protocol not known"):
            raise CopyError(
                f"There is no kind of store called ‘{protocol}://’. Use a local path, or a URL "
                "such as abfs://CONTAINER/FOLDER, s3://BUCKET/FOLDER or gs://BUCKET/FOLDER."
            ) from None
        raise CopyError(f"‘{shown(place)}’ cannot be opened: {sentence(error)}.") from None
    if isinstance(filesystem, LocalFileSystem):
        return LocalStore(inner)
    if not inner.strip("/") and protocol in _PACKAGES:
        raise CopyError(f"‘{place}’ names no container or bucket, as in {protocol}://NAME/FOLDER.")
    if protocol in ("http", "https"):
        return RemoteStore(filesystem, inner, shown(place))
    return RemoteStore(filesystem, inner.rstrip("/"), place.rstrip("/"))


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


def shown(place: str) -> str:
    """A path or URL without the query, which may carry a signature."""
    return place.partition("?")[0] if place.startswith(("http://", "https://")) else place
