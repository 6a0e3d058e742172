"""Lines written by a thread of its own: who hands one over never waits.

A pipe that nobody reads, a disk that hangs or is full, cost the log its lines and the service
nothing. Lines that find no room are dropped and counted, and the log says how many when it can.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

MOST_BYTES = 4 * 2**20
"""Of lines that wait to be written: some ten thousand."""

Sink = Callable[[bytes], None]
"""Writes whole lines; may wait as long as it likes."""


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
