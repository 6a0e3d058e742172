"""What has arrived: a line for each file that was copied and found right.

A line is written once its file is complete, so that a copy that was killed goes on where it was.
Derived data: without it everything at the destination is compared instead.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from foveate.catalog.workspace import user_cache
from foveate.errors import CopyError
from foveate.files import write_bytes

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Record:
    """One file that arrived.

    Attributes:
        source: stamp of the source when it was read.
        target: stamp of the destination when it was found right.
        sha256: of the contents of both.
    """

    source: str
    target: str
    sha256: str


class Journal:
    """The records of one source and destination, by relative path.

    Attributes:
        mark: a random text that is the same as long as the journal is there.
    """

    def __init__(self, mark: str, records: dict[str, Record], file: IO[bytes]) -> None:
        self.mark = mark
        self._records = records
        self._file = file
        self._lock = threading.Lock()

    def get(self, relative: str) -> Record | None:
        """What is known of a file."""
        return self._records.get(relative)

    def add(self, relative: str, record: Record) -> None:
        """Remember a file that is right; it outlives a killed process."""
        if self._records.get(relative) == record:
            return
        with self._lock:
            self._records[relative] = record
            # The file has arrived all the same; without its line it is compared the next time.
            with suppress(OSError):
                self._file.write(_line(relative, record))
                self._file.flush()


@contextmanager
def open_journal(key: str) -> Iterator[Journal]:
    """The journal of copying from one place to another; one process at a time has it.

    Args:
        key: the two places.

    Raises:
        CopyError: another process has it, or it cannot be written.
    """
    folder = user_cache() / "copies"
    name = hashlib.sha256(os.fsencode(key)).hexdigest()[:24]
    path = folder / f"{name}.jsonl"
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(folder / f"{name}.lock", timeout=0))
            mark, records = _read(path)
            head = json.dumps({"format": FORMAT, "mark": mark}).encode() + b"\n"
            # Written anew: without what a killed process left behind, or a later line replaced.
            write_bytes(path, head + b"".join(_line(*item) for item in records.items()))
            file = stack.enter_context(path.open("ab"))
        except Timeout:
            raise CopyError(
                "Another process is copying the same files to the same place. Wait for it, or "
                "stop it."
            ) from None
        except OSError as error:
            raise CopyError(
                f"What was copied cannot be kept on record in ‘{folder}’ ({error.strerror}). "
                "Set FOVEATE_CACHE to a folder that can be written."
            ) from None
        yield Journal(mark, records, file)


def _read(path: Path) -> tuple[str, dict[str, Record]]:
    records: dict[str, Record] = {}
    mark = uuid.uuid4().hex
    try:
        lines = path.read_bytes().splitlines()
        head = json.loads(lines[0])
        if head["format"] != FORMAT:
            return mark, records
        mark = str(head["mark"])
    except (OSError, ValueError, LookupError, TypeError):
        return mark, records
    for line in lines[1:]:
        try:
            relative, *rest = json.loads(line)
            records[relative] = Record(*rest)
        except (ValueError, TypeError):
            continue  # a line that a killed process did not finish
    return mark, records


def _line(relative: str, record: Record) -> bytes:
    return json.dumps([relative, record.source, record.target, record.sha256]).encode() + b"\n"
