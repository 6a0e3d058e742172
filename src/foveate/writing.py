"""Write a file to a local disk, whole or not at all; say in a sentence why it cannot be.

Every file that foveate writes for a user comes through here. A link is followed, as a user who
made one means it; what is no file (a folder, a pipe, a device, a socket) is refused. Renaming onto
it, as an atomic write does, would put a plain file in its place: as root even for `/dev/null`.
"""

from __future__ import annotations

import errno
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from foveate.errors import OutputError

_LONGEST = 40
"""Characters of a file's name in that of its temporary file, which must not exceed 255 bytes."""

_NO_FILES = (
    (stat.S_ISDIR, "is a folder"),
    (stat.S_ISFIFO, "is a pipe"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
    (stat.S_ISSOCK, "is a socket"),
)

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
"""What only writing can fail with, wherever it is heard."""

_ELSEWHERE = "name another place"
_REASONS = {
    errno.ENOSPC: ("the disk is full", f"Make room there, or {_ELSEWHERE}"),
    errno.EDQUOT: ("your quota of that disk is used up", f"Make room there, or {_ELSEWHERE}"),
    errno.EFBIG: (
        "it would be larger than a file may be there",
        f"Raise the limit (`ulimit -f`), or {_ELSEWHERE}",
    ),
    errno.EROFS: ("that disk can only be read", _ELSEWHERE.capitalize()),
    errno.EACCES: ("no permission", f"Ask for it, or {_ELSEWHERE}"),
    errno.EPERM: ("no permission", f"Ask for it, or {_ELSEWHERE}"),
    errno.ENOTDIR: ("a part of its path is a file", _ELSEWHERE.capitalize()),
    errno.EEXIST: ("a part of its path is a file", _ELSEWHERE.capitalize()),
    errno.ELOOP: ("it is a link that leads to itself", _ELSEWHERE.capitalize()),
    errno.ENAMETOOLONG: ("the name is too long", "Give it a shorter one"),
    errno.EBADF: ("it is closed", ""),
    errno.EBUSY: ("it is mounted there by itself", "Mount the folder it is in"),
}


def output_place(path: Path) -> Path:
    """Where a file that is written to `path` goes: there, or where it leads to as a link.

    Raises:
        OutputError: there is something that is no file, or nothing can be there.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except OSError as error:
        raise output_error(path, error) from error
    except ValueError as error:  # a null in the name
        raise OutputError(f"‘{str(path)!r}’ cannot be the name of a file.") from error
    for is_kind, said in _NO_FILES:
        if is_kind(mode):
            raise OutputError(f"‘{path}’ {said}; name a file.", said)
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def output_error(path: Path | str, error: Exception) -> OutputError:
    """What kept a result from being written, in a sentence: what, where, and what to do."""
    code = error.errno if isinstance(error, OSError) else None
    known = getattr(error, "strerror", None) or str(error) or type(error).__name__
    reason, advice = _REASONS.get(code or 0, (str(known).rstrip("."), ""))
    then = f" {advice}." if advice else ""
    return OutputError(f"‘{path}’ cannot be written: {reason}.{then}", reason, code)


@contextmanager
def atomic_write(path: Path, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """A binary file that appears at `path` whole or not at all.

    The bytes go to a temporary file in the same folder, reach the disk, and are then renamed.

    Args:
        path: where the file appears; its folder is made, a link is followed.
        durable: wait until the bytes are on the disk, so that they survive a power failure.
            Derived data does without: it survives a killed process all the same.

    Raises:
        OutputError: there is something that is no file, or the system does not write it. What was
            there before is there still.
    """
    place = output_place(path)
    temporary = place.with_name(f".{place.name[:_LONGEST]}.{uuid.uuid4().hex}.part")
    is_ours = True
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            is_ours = False
            yield file
            is_ours = True
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(place)
    except OutputError:
        raise
    except OSError as error:
        # What the caller read meanwhile may fail as well, and is not our news.
        if not is_ours and error.errno not in FULL:
            raise
        raise output_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file atomically.

    Raises:
        OutputError: it cannot be written.
    """
    with atomic_write(path) as file:
        file.write(data)
