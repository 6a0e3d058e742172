"""Open any path or URL, list folders, write atomically, hash.

Every byte that foveate reads of a user's data comes through here, so that a blob store works
wherever a local folder does.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import unicodedata
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from foveate.writing import atomic_write as atomic_write
from foveate.writing import output_error
from foveate.writing import write_bytes as write_bytes

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


_SURROGATE = re.compile("[\ud800-\udfff]")
_BYTES = range(0xDC80, 0xDD00)
"""How POSIX file names carry bytes 80 to FF that are not UTF-8 (PEP 383)."""


_NO_FILES = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file below a folder.

    Attributes:
        path: local path or URL, as `read_bytes` takes it.
        relative: the same relative to the folder, with forward slashes.
        size: bytes; -1 where the file cannot be looked at (a broken link).
        stamp: changes whenever the contents may have changed (size, modification time, ETag).
    """

    path: str
    relative: str
    size: int
    stamp: str


def is_url(path: str) -> bool:
    """Whether `path` names a file system by its scheme (`abfs://…`, `memory://…`)."""
    return "://" in path


def read_bytes(path: str) -> bytes:
    """All bytes of a local path or URL.

    Raises:
        OSError: it cannot be read.
    """
    if not is_url(path):
        return Path(path).read_bytes()
    filesystem, inner = _filesystem(path)
    try:
        data: bytes = filesystem.cat_file(inner)
    except OSError:
        raise
    except Exception as error:  # every store has errors of its own
        raise OSError(str(error) or type(error).__name__) from error
    return data


def read_whole(path: str, most: int) -> bytes:
    """All bytes of a local file or URL, and never of what is no file.

    A pipe would be waited for as long as nobody writes, a device read for ever.

    Args:
        path: of the file, or its URL.
        most: bytes it may have.

    Raises:
        OSError: it cannot be read, is no file, or is larger.
    """
    if is_url(path):
        data = read_bytes(path)
    else:
        _check_file(Path(path).stat(), most)  # some devices do something when they are opened
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 - with flags of its own
            _check_file(os.fstat(file.fileno()), most)  # another one, meanwhile?
            data = file.read(most + 1)
    if len(data) > most:
        raise _too_large(most)
    return data


def _check_file(status: os.stat_result, most: int) -> None:
    for is_kind, name in _NO_FILES:
        if is_kind(status.st_mode):
            raise OSError(errno.EINVAL, f"it is {name}, not a file")
    if status.st_size > most:
        raise _too_large(most)


def _too_large(most: int) -> OSError:
    return OSError(errno.EFBIG, f"it is larger than {most:,} bytes")


def is_folder(path: str) -> bool:
    """Whether a local path or URL is a folder."""
    if not is_url(path):
        return Path(path).is_dir()
    filesystem, inner = _filesystem(path)
    filesystem.invalidate_cache()  # others write there, too
    return bool(filesystem.isdir(inner))


def parent(path: str) -> str:
    """The folder of a local path or URL."""
    return path.rpartition("/")[0] if is_url(path) else str(Path(path).parent)


def exists(path: str) -> bool:
    """Whether a local path or URL names a file or folder.

    Raises:
        OSError: nobody can tell (a name that is too long, a URL of an unknown kind).
    """
    if not is_url(path):
        return Path(path).exists()
    filesystem, inner = _filesystem(path)
    filesystem.invalidate_cache()
    return bool(filesystem.exists(inner))


def join(folder: str, relative: str) -> str:
    """`relative` below `folder`; an absolute path or URL stays as it is."""
    if is_url(relative) or Path(relative).is_absolute():
        return relative
    if is_url(folder):
        return f"{folder.rstrip('/')}/{relative}"
    return str(Path(folder) / relative)


def absolute(path: str) -> str:
    """A local path made absolute (links kept); a URL as it is."""
    return path if is_url(path) else os.path.abspath(path)  # noqa: PTH100 - resolve() follows links


def list_files(folder: str) -> Iterator[FileEntry]:
    """Every file below a folder, hidden ones left out, sorted by path.

    Links are followed, each folder is entered once. What cannot be looked at (a broken link) is
    listed with size -1, so that it can be reported instead of vanishing.

    Raises:
        OSError: the folder itself cannot be listed.
    """
    if is_url(folder):
        yield from _list_remote(folder)
    else:
        yield from _list_local(folder)


def file_entry(path: str) -> FileEntry:
    """The entry of one file named by itself; `relative` is its path, size -1 if it is not there."""
    if is_url(path):
        try:
            filesystem, inner = _filesystem(path)
            return _remote_entry(path, path, filesystem.info(inner))
        except OSError:
            return _unusable(path, path)
    return _local_entry(path, path)


def open_file(path: str) -> IO[bytes]:
    """A local path or URL, opened to read any part of it.

    Raises:
        OSError: it cannot be read.
    """
    if not is_url(path):
        return Path(path).open("rb")
    filesystem, inner = _filesystem(path)
    opened: IO[bytes] = filesystem.open(inner, "rb")
    return opened


def write_anywhere(path: str, data: bytes, *, durable: bool = True) -> None:
    """Write a whole file to a local path or URL; it appears whole or not at all.

    A blob store shows an object once all of it was sent; anywhere else the bytes go to a file
    beside it, which is then renamed.

    Args:
        path: where it appears; its folder is made.
        data: all of it.
        durable: see `atomic_write`.

    Raises:
        OutputError: it cannot be written.
    """
    if (local := local_path(path)) is not None:
        with atomic_write(local, durable=durable) as file:
            file.write(data)
    else:
        _send(path, lambda filesystem, inner: filesystem.pipe_file(inner, data))


def upload(local: Path, url: str) -> None:
    """Send a local file to a URL, piece by piece; it appears there whole or not at all.

    Raises:
        OutputError: it cannot be written.
        OSError: it cannot be read.
    """
    if (place := local_path(url)) is not None:
        with local.open("rb") as given, atomic_write(place) as file:
            shutil.copyfileobj(given, file)
    else:
        _send(url, lambda filesystem, inner: filesystem.put_file(str(local), inner))


def local_path(path: str) -> Path | None:
    """The file of this machine that a path or URL (`file://…`) names; None for a store's."""
    if not is_url(path):
        return Path(path)
    scheme, _, rest = path.partition("://")
    return Path(rest) if scheme in ("file", "local") else None


def _send(url: str, put: Callable[[AbstractFileSystem, str], object]) -> None:
    """Put a file into a store, so that nobody sees half of it."""
    try:
        filesystem, inner = _filesystem(url)
        if not _has_folders(filesystem):
            put(filesystem, inner)
            return
        filesystem.makedirs(inner.rpartition("/")[0], exist_ok=True)
        temporary = f"{inner}.{uuid.uuid4().hex}.part"
        put(filesystem, temporary)
        filesystem.mv(temporary, inner)
    except Exception as error:  # every store has errors of its own
        raise output_error(url, error) from error


def remove(path: str) -> None:
    """Remove a file or a whole folder, local or behind a URL; nothing where there is none.

    Raises:
        OSError: it cannot be removed.
    """
    if not is_url(path):
        local = Path(path)
        if local.is_dir() and not local.is_symlink():
            shutil.rmtree(local)
        else:
            local.unlink(missing_ok=True)
        return
    filesystem, inner = _filesystem(path)
    if filesystem.exists(inner):
        filesystem.rm(inner, recursive=True)


def use_storage_options(options: Mapping[str, Mapping[str, str]]) -> None:
    """Open every URL from now on, in this process, with these arguments.

    Args:
        options: of fsspec's file systems, by protocol: `{"abfs": {"account_name": …}}`.
    """
    from fsspec.config import conf

    for protocol, arguments in options.items():
        conf[protocol] = {**conf.get(protocol, {}), **arguments}


def digest(data: bytes) -> str:
    """SHA-256 as 64 hexadecimal digits: the id of an image is the digest of its bytes."""
    return hashlib.sha256(data).hexdigest()


def printable(text: str) -> str:
    r"""A file name as text that any encoding of Unicode can carry.

    POSIX names are bytes; those that are not UTF-8 reach Python as lone surrogates, which neither
    JSON readers nor Parquet accept. They are shown as `\xNN`; other surrogates,
    which JSON can spell, as `\uNNNN`.
    """
    return _SURROGATE.sub(_escaped, text)


def normal_form(text: str) -> str:
    r"""A label as everybody spells it: Unicode NFC (macOS hands out NFD), no outer blanks.

    Control characters, which would rule the terminal that shows the label, are spelt `\xNN`.
    """
    shown = unicodedata.normalize("NFC", printable(text)).strip()
    return "".join(f"\\x{ord(c):02x}" if unicodedata.category(c) == "Cc" else c for c in shown)


def is_hidden(name: str) -> bool:
    """Whether a file or folder name is one that people do not see in their file manager."""
    return name.startswith(".") or name in {"__MACOSX", "Thumbs.db", "desktop.ini"}


def _escaped(surrogate: re.Match[str]) -> str:
    code = ord(surrogate[0])
    return f"\\x{code - 0xDC00:02x}" if code in _BYTES else f"\\u{code:04x}"


def _list_local(folder: str) -> Iterator[FileEntry]:
    entered = {os.path.realpath(folder)}
    pending = [folder]
    entries: list[FileEntry] = []
    while pending:
        current = pending.pop()
        try:
            with os.scandir(current) as scan:
                children = [child for child in scan if not is_hidden(child.name)]
        except OSError:
            if current == folder:
                raise
            entries.append(_unusable(current, _relative(current, folder)))
            continue
        for child in children:
            if _is_folder(child):
                real = os.path.realpath(child.path)
                if real not in entered:
                    entered.add(real)
                    pending.append(child.path)
            else:
                entries.append(_local_entry(child.path, _relative(child.path, folder)))
    yield from sorted(entries, key=lambda entry: entry.relative)


def _is_folder(child: os.DirEntry[str]) -> bool:
    try:
        return child.is_dir()
    except OSError:  # a link to itself
        return False


def _relative(path: str, folder: str) -> str:
    return os.path.relpath(path, folder).replace(os.sep, "/")


def _local_entry(path: str, relative: str) -> FileEntry:
    try:
        status = Path(path).stat()
    except (OSError, ValueError):  # ValueError: a table may name what cannot be a file name
        return _unusable(path, relative)
    if not stat.S_ISREG(status.st_mode):
        # Opening a named pipe would wait for ever.
        return _unusable(path, relative)
    return FileEntry(path, relative, status.st_size, f"{status.st_size}-{status.st_mtime_ns}")


def _unusable(path: str, relative: str) -> FileEntry:
    return FileEntry(path, relative, size=-1, stamp="")


def _filesystem(url: str) -> tuple[AbstractFileSystem, str]:
    from fsspec.core import url_to_fs

    try:
        filesystem, inner = url_to_fs(url)
    except (ImportError, ValueError) as error:  # says which package is missing
        raise OSError(str(error)) from None
    return filesystem, inner


def _has_folders(filesystem: AbstractFileSystem) -> bool:
    """Whether it shows a file that is being written, and can rename one at no cost."""
    protocol = filesystem.protocol
    names = {protocol} if isinstance(protocol, str) else set(protocol)
    return bool(names & {"file", "local", "hdfs", "arrow_hdfs", "webhdfs", "sftp", "ssh", "smb"})


def _list_remote(url: str) -> Iterator[FileEntry]:
    filesystem, inner = _filesystem(url)
    filesystem.invalidate_cache()
    if not filesystem.isdir(inner):
        raise NotADirectoryError(url)
    root = inner.rstrip("/")
    for path, info in sorted(filesystem.find(inner, detail=True).items()):
        relative = path.removeprefix(root).lstrip("/")
        if not any(is_hidden(part) for part in relative.split("/")):
            yield _remote_entry(f"{url.rstrip('/')}/{relative}", relative, info)


def _remote_entry(url: str, relative: str, info: dict[str, object]) -> FileEntry:
    version = next(
        (
            str(info[key])
            for key in ("ETag", "etag", "mtime", "LastModified", "created")
            if info.get(key) is not None
        ),
        "",
    )
    size = info.get("size")
    size = size if isinstance(size, int) else 0
    # Without a version nobody knows whether the contents changed: an empty stamp is not reused.
    return FileEntry(url, relative, size, f"{size}-{version}" if version else "")
