"""A folder behind a URL that files are copied from or to, through fsspec."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from foveate.copying.stores import (
    CHUNK,
    Kind,
    NewFile,
    Store,
    Stored,
    missing,
    refuse_unsafe,
    temporary_name,
)
from foveate.errors import CopyError
from foveate.files import is_hidden, printable

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

BLOCK = 8 * 2**20
"""Bytes of a part of a large object; S3 wants at least 5 MiB, and at most 10,000 parts."""
MOST_PARTS = 9_000
_VERSIONS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "created")
_MD5 = re.compile(r"[0-9a-f]{32}")


class RemoteStore:
    """A folder behind a URL.

    Args:
        filesystem: of fsspec.
        root: the folder, or one file, as the file system calls it; no slash at the end, but for
            a folder on the web.
        name: the URL as the user knows it.
    """

    def __init__(self, filesystem: AbstractFileSystem, root: str, name: str) -> None:
        from fsspec.asyn import AsyncFileSystem

        self._fs: Any = filesystem
        self._root = root
        self._name = name
        self._is_web = self._is_of("http", "https")
        # Such show an object once all of it was sent; others show files that are being written.
        self._is_blob_store = isinstance(filesystem, AsyncFileSystem)

    @property
    def name(self) -> str:
        """The URL as the user knows it."""
        return self._name

    @property
    def identity(self) -> tuple[object, str]:
        """Which file system it is of, and its path there."""
        return self._fs, self._root

    def kind(self) -> Kind | None:
        """Whether it is a folder, or a file after all; None: there is nothing yet."""
        self._fs.invalidate_cache()
        if self._is_web and self._root.endswith("/"):
            return "folder"
        try:
            info = self._fs.info(self._root)
        except FileNotFoundError:
            return None
        return "folder" if info["type"] == "directory" else "file"

    def parent(self) -> tuple[Store, str]:
        """The folder that it is in, and its name there.

        Raises:
            CopyError: it is a container or bucket.
        """
        if self._is_web:  # a signature after ? belongs to this file alone
            return self, unquote(self._root.partition("?")[0].rpartition("/")[2])
        folder, _, name = self._root.rpartition("/")
        if self._is_blob_store and not folder:
            raise CopyError(f"‘{self._name}’ is not there. Make that container or bucket first.")
        return RemoteStore(self._fs, folder, self._name.rpartition("/")[0]), name

    def files(self) -> Iterator[Stored]:
        """Every file below it, hidden ones left out, sorted by path."""
        self._fs.invalidate_cache()
        for address, info in sorted(self._fs.find(self._root, detail=True).items()):
            relative = address.removeprefix(self._root).removeprefix("/")
            if self._is_web:
                relative = unquote(relative)
            if info.get("type") == "directory" or not relative or relative.endswith("/"):
                continue  # what some tools write to show an empty folder
            if not any(is_hidden(part) for part in relative.split("/")):
                yield _stored(relative, address, info)

    def look(self, relative: str, address: str | None = None) -> Stored:
        """One file as it is now."""
        address = address or self._address(relative)
        info = self._fs.info(address)
        if info["type"] == "directory":
            raise missing(address)
        return _stored(relative, address, info)

    def check_name(self, relative: str) -> None:
        """Refuse a name that this store would change on its way."""
        refuse_unsafe(relative)
        address = self._address(relative)
        try:
            relative.encode()
        except UnicodeEncodeError:
            raise CopyError(
                f"‘{printable(relative)}’ is not UTF-8, which names in ‘{self._name}’ have to be"
            ) from None
        changed = self._fs._strip_protocol(address) != address
        if self._is_of("abfs", "az", "abfss"):
            changed |= "\\" in relative  # Azure makes it a slash
        if changed or "?versionid=" in relative.lower():
            raise CopyError(f"‘{self._name}’ cannot hold the name ‘{printable(relative)}’")

    def read(self, address: str, size: int | None = None) -> Iterator[bytes]:
        """The contents of a file in chunks."""
        if self._is_blob_store and not self._is_web and size is not None and size <= CHUNK:
            if data := self._fs.cat_file(address):  # one request; opening it costs another
                yield data
            return
        with self._fs.open(address, "rb", block_size=CHUNK, cache_type="none") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    @contextmanager
    def create(self, relative: str, size: int | None, mark: str) -> Iterator[NewFile]:
        """A new file."""
        address = self._address(relative)
        if self._is_blob_store:
            new = _NewObject(self, self._fs, relative, address, part_size(size))
            try:
                yield new
            except BaseException:
                new.give_up()
                raise
            return
        folder = address.rpartition("/")[0]
        temporary = f"{folder}/{temporary_name(relative, mark)}"
        self._fs.makedirs(folder, exist_ok=True)
        try:
            with self._fs.open(temporary, "wb") as file:
                yield _NewRemoteFile(self, self._fs, file, temporary, relative, address)
        finally:
            with suppress(Exception):  # it was renamed, or the store is gone
                self._fs.rm_file(temporary)

    def _address(self, relative: str) -> str:
        if self._is_web:
            return self._root
        return f"{self._root}/{relative}"

    def _is_of(self, *names: str) -> bool:
        protocol = self._fs.protocol
        return not {*names}.isdisjoint((protocol,) if isinstance(protocol, str) else protocol)


class _NewObject:
    """An object of a blob store: small ones go in one request, large ones in parts."""

    def __init__(
        self, store: RemoteStore, filesystem: Any, relative: str, address: str, block: int
    ) -> None:
        self._store, self._fs = store, filesystem
        self._relative, self._address, self._block = relative, address, block
        self._begun = bytearray()
        self._file: Any = None
        self._told: Stored | None = None

    def write(self, chunk: bytes) -> None:
        if self._file is None:
            self._begun += chunk
            if len(self._begun) <= self._block:
                return
            self._file = self._fs.open(self._address, "wb", block_size=self._block)
            chunk, self._begun = bytes(self._begun), bytearray()
        self._file.write(chunk)

    def finish(self) -> None:
        if self._file is None:
            data = bytes(self._begun)
            answer = self._fs.pipe_file(self._address, data)
            if isinstance(answer, Mapping):
                told = _stored(self._relative, self._address, {**answer, "size": len(data)})
                # Such an answer leaves nothing to ask: the store has received these very bytes.
                if told.md5 == hashlib.md5(data, usedforsecurity=False).hexdigest():
                    self._told = told
        else:
            self._file.close()
        self._begun = bytearray()

    def stored(self) -> Stored:
        return self._told or self._store.look(self._relative)

    def read(self) -> Iterator[bytes]:
        return self._store.read(self._address)

    def publish(self) -> Stored:
        return self.stored()

    def give_up(self) -> None:
        """Let nothing of it appear: closing the file would, be it only the garbage collector."""
        if self._file is not None and not self._file.closed:
            with suppress(Exception):
                self._file.discard()
            self._file.closed = True


class _NewRemoteFile:
    """A file of a store that has real folders: it has another name until it is complete."""

    def __init__(
        self,
        store: RemoteStore,
        filesystem: Any,
        file: Any,
        temporary: str,
        relative: str,
        address: str,
    ) -> None:
        self._store, self._fs, self._file = store, filesystem, file
        self._temporary, self._relative, self._address = temporary, relative, address

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)

    def finish(self) -> None:
        self._file.close()

    def stored(self) -> Stored:
        return _stored(self._relative, self._temporary, self._fs.info(self._temporary))

    def read(self) -> Iterator[bytes]:
        return self._store.read(self._temporary)

    def publish(self) -> Stored:
        try:
            self._fs.mv(self._temporary, self._address)
        except Exception:
            # HDFS and SFTP do not rename onto a file that is there.
            if not self._fs.isfile(self._address) or not self._fs.exists(self._temporary):
                raise
            self._fs.rm_file(self._address)
            self._fs.mv(self._temporary, self._address)
        return self._store.look(self._relative)


def part_size(size: int | None) -> int:
    """Bytes of one part, so that an object has no more parts than stores allow."""
    return max(BLOCK, -(-(size or 0) // MOST_PARTS))


def _stored(relative: str, address: str, info: Mapping[str, Any]) -> Stored:
    size = info.get("size")
    version = next((str(info[key]) for key in _VERSIONS if info.get(key) is not None), "")
    return Stored(
        relative,
        address,
        size if isinstance(size, int) else None,
        f"{size}-{version}" if version else "",
        _md5(info),
    )


def _md5(info: Mapping[str, Any]) -> str | None:
    """The MD5 that a store tells: Azure and Google in base64, S3 as the ETag."""
    encoded = info.get("md5Hash") or info.get("content_md5")
    settings = info.get("content_settings")
    if encoded is None and settings is not None:
        encoded = settings.get("content_md5")
    if isinstance(encoded, bytes | bytearray):
        return bytes(encoded).hex()
    if isinstance(encoded, str):
        with suppress(binascii.Error):
            return base64.b64decode(encoded).hex()
    tag = str(info.get("ETag", "")).strip('"')
    return tag if _MD5.fullmatch(tag) else None
