"""Keep a run on record while it works, in a process beside it.

MLflow takes seconds to import and to open its database, so another process does that while the run
computes. It learns from the end of its input that the run is over, however it ended. Whatever it
cannot send stays in the outbox, and the next run, or `foveate runs`, sends it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from foveate.errors import FoveateError, Stopped
from foveate.history.environment import environment
from foveate.history.outbox import Entry, waiting
from foveate.history.place import OFF, HistoryPlace
from foveate.history.record import Kind, Outcome, Record
from foveate.writing import output_error

if TYPE_CHECKING:
    from filelock import BaseFileLock

_ADVICE = "FOVEATE_HISTORY names another folder for runs outside a project, or turns them `off`."

PATIENCE = 1.0
"""Seconds that a finished run waits for its record to arrive; it then arrives without it."""


class Recording:
    """A run that is being recorded.

    Attributes:
        name: of the run.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._outcome: Outcome | None = None

    def finish(self, outcome: Outcome) -> None:
        """What came out; it is kept when the run ends."""
        self._outcome = outcome


@contextmanager
def recording(
    place: HistoryPlace | None,
    kind: Kind,
    source: str,
    settings: Mapping[str, str],
    *,
    label: str = "",
    remark: Callable[[str], None] | None = None,
) -> Iterator[Recording]:
    """Within, a run works; what it comes to is on record afterwards.

    A run that raises is recorded as failed, with the reason. Nothing about the record ever fails
    the run.

    Args:
        place: where runs are kept; None: nowhere.
        kind: the verb.
        source: what it works on.
        settings: all of them, as far as they are known when it begins.
        label: ends the name of the run; the verb where empty.
        remark: told afterwards where the run is not on record, or not all of it, and why.
    """
    tell = remark or (lambda _: None)
    run_id = uuid.uuid4().hex
    run = Recording(run_name(label or kind, run_id))
    if place is None:
        yield run
        if os.environ.get("FOVEATE_HISTORY") != OFF:
            tell(f"This run is not on record: there is no place for it. {_ADVICE}")
        return
    record = Record(run_id, kind, run.name, source, time.time(), settings=dict(settings))
    entry = Entry(place.outbox / run_id)
    lock = helper = None
    trouble: Exception | None = None
    try:
        record = replace(record, tags=_tags())
        lock = _open(entry, record)
        helper = _spawn(place, entry.folder)
    except Exception as error:
        trouble = error
    try:
        yield run
    except BaseException as error:
        record = replace(record, status="failed", reason=_reason(error))
        raise
    else:
        record = replace(record, status="finished")
    finally:
        if lock is not None:
            try:
                trouble = _close(entry, replace(record, ended=time.time()), run._outcome) or trouble
            finally:
                lock.release()
        if helper is not None:
            _let_go(helper)
        if trouble is not None and record.status == "finished":
            reason = output_error(place.folder, trouble).strerror
            where = f"‘{place.folder}’"
            tell(f"This run is not on record in {where}, or not all of it: {reason}. {_ADVICE}")


def send_waiting(place: HistoryPlace) -> str | None:
    """Have what waits in the outbox sent, beside; says what waits because it could not be sent."""
    entries = [entry for entry in waiting(place.outbox) if not entry.is_held()]
    if not entries:
        return None
    if helper := _spawn(place):
        Thread(target=helper.wait, daemon=True).start()
    failures = [text for entry in entries if (text := entry.why_not_sent())]
    if not failures:
        return None
    many = "1 run" if len(failures) == 1 else f"{len(failures)} runs"
    return (
        f"{many} could not be sent to {place.shown} yet, kept in {place.outbox}; the next command "
        f"tries again. The last try: {failures[-1]}"
    )


def run_name(label: str, run_id: str | None = None) -> str:
    """A name for a run: `20261121-101502-svm-3f9a`; the last part tells apart those of a second."""
    run_id = run_id or uuid.uuid4().hex
    return time.strftime(f"%Y%m%d-%H%M%S-{label}-{run_id[:4]}")


def _tags() -> dict[str, str]:
    tags = environment(Path.cwd())
    if Path(sys.argv[0]).stem == "foveate" or sys.argv[0].endswith("foveate/__main__.py"):
        tags["command"] = shlex.join(["foveate", *sys.argv[1:]])
    return tags


def _open(entry: Entry, record: Record) -> BaseFileLock:
    """The entry in the outbox, locked."""
    entry.folder.mkdir(parents=True, exist_ok=True)
    lock = entry.lock()
    lock.acquire(timeout=0)
    entry.write(record)
    return lock


def _spawn(place: HistoryPlace, *runs: Path) -> subprocess.Popen[bytes] | None:
    """The process that keeps the records of runs, and sends all that wait."""
    # Ctrl-C is for the run, not for who keeps its record.
    apart: dict[str, Any] = (
        {"start_new_session": True} if os.name == "posix" else {"creationflags": 0x200}
    )
    # -P: modules in the folder that somebody works in are not ours to run.
    command = [sys.executable, "-P", "-m", "foveate.history.recorder"]
    command += [str(place.folder), *map(str, runs)]
    # Not in the command: everybody on the machine sees that, and a URI may hold a password.
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": place.uri,
        "MLFLOW_EXPERIMENT_NAME": place.experiment,
    }
    try:
        return subprocess.Popen(  # noqa: S603 - our own words
            command,
            stdin=subprocess.PIPE if runs else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            **apart,
        )
    except OSError:
        return None


def _close(entry: Entry, record: Record, outcome: Outcome | None) -> Exception | None:
    """Put what came out into the outbox: the numbers first, as files are more likely to fail.

    Returns:
        What kept it from being put there.
    """
    trouble: Exception | None = None
    if outcome is not None:
        record = replace(
            record,
            metrics=dict(outcome.metrics),
            series={name: list(values) for name, values in outcome.series.items()},
            settings={**record.settings, **outcome.settings},
            tags={**record.tags, **outcome.tags},
        )
    try:
        entry.write(record)
    except Exception as error:
        trouble = error
    if outcome is None:
        return trouble
    try:
        entry.artifacts.mkdir(parents=True, exist_ok=True)
        outcome.write_artifacts(entry.artifacts)
    except Exception as error:
        incomplete = {**record.tags, "record.incomplete": repr(error)}
        with suppress(Exception):
            entry.write(replace(record, tags=incomplete))
        return trouble or error
    return trouble


def _let_go(helper: subprocess.Popen[bytes]) -> None:
    """Tell who keeps the record that the run is over; wait a moment, in most cases for its end."""
    with suppress(OSError):
        if helper.stdin is not None:
            helper.stdin.close()
    try:
        helper.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        # It goes on alone, and is waited for as long as this process lives.
        Thread(target=helper.wait, daemon=True).start()


def _reason(error: BaseException) -> str:
    if isinstance(error, Stopped):
        return "It was stopped."
    if isinstance(error, KeyboardInterrupt):
        return "It was stopped by Ctrl-C."
    if isinstance(error, FoveateError):
        return str(error)
    return f"{type(error).__name__}: {error}"
