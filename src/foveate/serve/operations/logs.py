"""Structured logs: JSON lines on stderr, and a file of predictions. Never image contents.

Lines are written by a thread of its own: who hands one over never waits. A pipe that nobody reads,
a disk that hangs or is full, cost the log its lines and the service nothing. Lines that find no
room are dropped and counted, and the log says how many when it can.
"""

from __future__ import annotations

import json
import logging
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from errno import ENXIO
from pathlib import Path
from types import TracebackType
from typing import Any

from foveate.errors import SettingsError
from foveate.files import digest
from foveate.serve.workers.queue import ImageAnswer

_NEVER_WAIT: int = getattr(os, "O_NONBLOCK", 0)  # Windows has none

logger = logging.getLogger("foveate.serve")


MOST_BYTES = 4 * 2**20
"""Of lines that wait to be written: some ten thousand."""

Sink = Callable[[bytes], None]
"""Writes whole lines; may wait as long as it likes."""


class JsonLines(logging.Formatter):
    """One JSON object a line: `time`, `level`, `event`, and what the event is about."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        about: dict[str, Any] = getattr(record, "about", {})
        line = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **about,
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class Writer:
    """Writes lines somewhere, in order, from a thread of its own.

    Args:
        sink: where to.
        notice: the line that says that so many were dropped.
        failed: told when the sink fails, once until it works again.
        most: bytes that may wait.

    Attributes:
        dropped: lines so far that found no room, or could not be written.
    """

    def __init__(
        self,
        sink: Sink,
        notice: Callable[[int], str],
        failed: Callable[[OSError], None] | None = None,
        most: int = MOST_BYTES,
    ) -> None:
        self.dropped = 0
        self._sink = sink
        self._notice = notice
        self._failed = failed
        self._most = most
        self._lines: list[bytes] = []
        self._bytes = 0
        self._told = 0
        self._closed = False
        self._works = True
        self._changed = threading.Condition()
        # A daemon: a program that ends does not wait for who reads its log.
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Hand a line over, without its end; it is dropped where there is no room."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        with self._changed:
            if self._closed or self._bytes + len(data) > self._most:
                self.dropped += 1
                return
            self._lines.append(data)
            self._bytes += len(data)
            self._changed.notify()

    def close(self, seconds: float = 1.0) -> None:
        """Write what waits, for so long at most."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._closed)
                lines = self._lines
                if not lines:
                    return
                self._lines = []
                if self.dropped > self._told and self._works:
                    lines.append(self._notice(self.dropped - self._told).encode() + b"\n")
                    self._told = self.dropped
            self._write(lines)

    def _write(self, lines: list[bytes]) -> None:
        try:
            self._sink(b"".join(lines))
            self._works = True
        except OSError as error:
            with self._changed:
                self.dropped += len(lines)
            if self._works and self._failed is not None:
                self._failed(error)
            self._works = False
        with self._changed:
            # Only now: what is being written is in memory, too.
            self._bytes = sum(map(len, self._lines))


class _Handler(logging.Handler):
    """Hands lines to a writer."""

    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.put(self.format(record))
        except Exception:  # whatever a library logs that cannot be shown
            self._writer.dropped += 1


@contextmanager
def json_logs(*, quiet: bool = False, sink: Sink | None = None) -> Iterator[Writer]:
    """Send everything that this process has to say to stderr, as JSON lines, until the end.

    That is the log of the server, and what libraries log or warn of, and what nobody caught.

    Args:
        quiet: warnings and errors only.
        sink: where to instead.

    Yields:
        What writes the lines.
    """
    writer = Writer(sink or _write_stderr, _notice)
    root = logging.getLogger()
    before = root.handlers, root.level, threading.excepthook, sys.unraisablehook
    root.handlers = [_Handler(writer)]
    root.setLevel(logging.WARNING)
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    for name in ("uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)  # requests are logged by us
    for name in ("python_multipart", "multipart"):
        logging.getLogger(name).setLevel(logging.ERROR)  # what clients send is no fault of ours
    logging.captureWarnings(capture=True)
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable
    try:
        yield writer
    finally:
        writer.close()
        logging.captureWarnings(capture=False)
        root.handlers, threading.excepthook, sys.unraisablehook = before[0], before[2], before[3]
        root.setLevel(before[1])


def _write_stderr(data: bytes) -> None:
    """All of it, also where somebody else made stderr non-blocking."""
    while data:
        try:
            data = data[os.write(2, data) :]
        except BlockingIOError:
            select.select([], [2], [])


def _notice(count: int) -> str:
    return json.dumps(
        {
            "time": _time(time.time()),
            "level": "warning",
            "event": "log lines dropped",
            "count": count,
        }
    )


def _uncaught_in_thread(about: threading.ExceptHookArgs) -> None:
    _defect("a thread failed", about.exc_type, about.exc_value, about.exc_traceback)


def _unraisable(about: Any) -> None:
    _defect(
        "an error at the end of an object", about.exc_type, about.exc_value, about.exc_traceback
    )


def _defect(
    event: str,
    kind: type[BaseException],
    error: BaseException | None,
    trace: TracebackType | None,
) -> None:
    logger.error(event, exc_info=(kind, error or kind(), trace))


def log(event: str, *, level: int = logging.INFO, trace: bool = False, **about: object) -> None:
    """Log an event in a few words, with values about it."""
    logger.log(level, event, extra={"about": about}, exc_info=trace)


class PredictionLog:
    """Predictions as JSON lines, for later review: who was told what, about which bytes.

    The file may be renamed or removed at any time (by logrotate, say): a new one is begun.

    Args:
        path: of the file, which is added to; a pipe that somebody reads will do, too.

    Attributes:
        writer: what writes it; a full disk, or a pipe that nobody reads, stops the log, not the
            server.

    Raises:
        SettingsError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = _open_to_add(path)
        except OSError as error:
            reason = "nobody reads this pipe" if error.errno == ENXIO else error.strerror
            raise SettingsError(f"Predictions cannot be logged to ‘{path}’: {reason}.") from None
        self.writer = Writer(self._write, _notice, self._failed)

    def write(
        self,
        request_id: str,
        names: Sequence[str | None],
        data: Sequence[bytes],
        answers: Sequence[ImageAnswer],
    ) -> None:
        """Add a line for each image of a request, some time soon."""
        now = _time(time.time())
        for name, image, answer in zip(names, data, answers, strict=True):
            line = {
                "time": now,
                "request_id": request_id,
                "model": answer.model.name,
                "model_id": answer.model.id,
                "image": digest(image),
                "name": name,
                "label": answer.label,
                "probability": answer.probability,
                "probabilities": answer.probabilities,
            }
            self.writer.put(json.dumps(line, ensure_ascii=False))

    def close(self) -> None:
        """Write what waits, and close the file."""
        self.writer.close()

    def _write(self, data: bytes) -> None:
        if not _is_at(self._file, self._path):
            before, self._file = self._file, _open_to_add(self._path)
            os.close(before)
        while data:
            data = data[os.write(self._file, data) :]

    def _failed(self, error: OSError) -> None:
        log(
            "predictions are not logged",
            level=logging.ERROR,
            path=str(self._path),
            error=error.strerror,
        )


def _open_to_add(path: Path) -> int:
    """A file to add to. Opening never waits, not even for somebody to read a pipe."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NEVER_WAIT, 0o644)
    if _NEVER_WAIT:
        os.set_blocking(file, True)
    return file


def _is_at(file: int, path: Path) -> bool:
    """Whether an open file is still the one of this name."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
