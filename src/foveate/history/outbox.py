"""Runs on their way: kept in a folder until the history has them.

Every run has a folder of its own, `ID/`, with `record.json` and `artifacts/`. The process that
works on it holds the lock `ID.lock`, which the system lets go of when the process dies, however
that comes: a record that says "running" and whose lock is free is one of a run that was killed.
"""

from __future__ import annotations

import platform
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from foveate.files import write_bytes
from foveate.history.record import Record

if TYPE_CHECKING:
    from filelock import BaseFileLock

KILLED = "It was killed, or the machine stopped."


@dataclass(frozen=True, slots=True)
class Entry:
    """A run on its way.

    Attributes:
        folder: of this run.
    """

    folder: Path

    @property
    def artifacts(self) -> Path:
        """The folder of the run's files."""
        return self.folder / "artifacts"

    @property
    def failure(self) -> Path:
        """Why it could not be sent, in a file."""
        return self.folder / "failure.txt"

    def lock(self) -> BaseFileLock:
        """The lock of who works on the run."""
        from filelock import FileLock

        # Several people may share a project.
        return FileLock(self.folder.with_suffix(".lock"), mode=0o666)

    def write(self, record: Record) -> None:
        """Keep how far the run has come."""
        write_bytes(self.folder / "record.json", record.to_json().encode())

    def read(self) -> Record | None:
        """How far the run has come; None where that cannot be read."""
        try:
            return Record.from_json((self.folder / "record.json").read_bytes())
        except (OSError, ValueError):
            return None

    def is_held(self) -> bool:
        """Whether somebody works on the run, as far as can be told."""
        lock = self.lock()
        try:
            lock.acquire(timeout=0)
        except OSError:  # it is held, or belongs to another person
            return True
        lock.release()
        return False

    def why_not_sent(self) -> str | None:
        """Why it could not be sent the last time, where that was tried."""
        try:
            return self.failure.read_text(encoding="utf-8").strip()
        except OSError:
            return None

    def settle(self, ended: float | None = None) -> Record | None:
        """The record of a run that nobody works on any more: one that still runs was killed.

        Args:
            ended: when that was, where it is known.

        Returns:
            None where there is no record, or it is that of another machine, whose locks may not
            reach here.
        """
        record = self.read()
        if record is None or record.status != "running":
            return record
        if record.tags.get("machine", platform.node()) != platform.node():
            return None
        killed = replace(record, status="failed", ended=ended or record.started, reason=KILLED)
        self.write(killed)
        return killed

    def delete(self) -> None:
        """Take it out of the outbox."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.with_suffix(".lock").unlink(missing_ok=True)


def waiting(outbox: Path) -> list[Entry]:
    """Every run in the outbox, whether somebody works on it or not."""
    if not outbox.is_dir():
        return []
    return [Entry(record.parent) for record in sorted(outbox.glob("*/record.json"))]
