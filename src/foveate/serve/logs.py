"""Structured logs: JSON lines on stderr, and a file of predictions. Never image contents."""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from foveate.errors import SettingsError
from foveate.files import digest
from foveate.serve.line import Answer

logger = logging.getLogger("foveate.serve")


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


def start_logging(*, quiet: bool = False, stream: TextIO | None = None) -> None:
    """Send the logs of the server, and of uvicorn below it, to stderr.

    Args:
        quiet: warnings and errors only.
        stream: where to instead.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("foveate.serve", "uvicorn.error"):
        log = logging.getLogger(name)
        log.handlers = [handler]
        log.propagate = False
        # Of uvicorn, what goes wrong; requests are logged by us.
        log.setLevel(logging.WARNING if quiet or name.startswith("uvicorn") else logging.INFO)


def log(event: str, *, level: int = logging.INFO, trace: bool = False, **about: object) -> None:
    """Log an event in a few words, with values about it."""
    logger.log(level, event, extra={"about": about}, exc_info=trace)


class _File(logging.handlers.WatchedFileHandler):
    """A log whose failures are ours to handle."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802
        raise


class PredictionLog:
    """Predictions as JSON lines, for later review: who was told what, about which bytes.

    The file may be renamed or removed at any time (by logrotate, say): a new one is begun.

    Args:
        path: of the file, which is added to.

    Raises:
        SettingsError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._handler = _File(path, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise SettingsError(
                f"Predictions cannot be logged to ‘{path}’: {error.strerror}."
            ) from None
        self._failed = False
        self._lock = threading.Lock()

    def write(
        self,
        request_id: str,
        names: Sequence[str | None],
        data: Sequence[bytes],
        answers: Sequence[Answer],
    ) -> None:
        """Add a line for each image of a request; from a thread, as disks may hang.

        A full disk stops the log, not the server; it says so once.
        """
        with self._lock:
            self._write(request_id, names, data, answers)

    def _write(
        self,
        request_id: str,
        names: Sequence[str | None],
        data: Sequence[bytes],
        answers: Sequence[Answer],
    ) -> None:
        now = _time(datetime.now(UTC).timestamp())
        try:
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
                self._handler.emit(
                    logging.makeLogRecord({"msg": json.dumps(line, ensure_ascii=False)})
                )
            self._failed = False
        except OSError as error:
            if not self._failed:
                log(
                    "predictions are not logged",
                    level=logging.ERROR,
                    path=str(self._path),
                    error=error.strerror,
                )
            self._failed = True

    def close(self) -> None:
        """Close the file."""
        self._handler.close()


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
