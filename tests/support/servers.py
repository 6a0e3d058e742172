"""Real servers on loopback, started and stopped by process id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Running:
    """A server that `foveate serve` started.

    Attributes:
        url: where it is.
        process: the one that was started; its workers are its children.
    """

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self._log = log
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("Serving "):
            process.kill()
            raise AssertionError(f"{line}{log.read_text()}")
        self.url = line.split()[-1]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def logged(self) -> list[dict[str, object]]:
        """The structured log so far."""
        lines = self._log.read_text().split("\n")
        return [json.loads(line) for line in lines if line.startswith("{")]

    @property
    def workers(self) -> list[int]:
        """Process ids of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def stop(self, seconds: float = 30) -> int:
        """Ask it to stop, and wait."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()


@contextmanager
def serving(
    log: Path, *arguments: object, environment: dict[str, str] | None = None
) -> Iterator[Running]:
    """A server on a free port, stopped at the end."""
    command = [sys.executable, "-m", "foveate", "serve", *map(str, arguments), "--port", "0"]
    with log.open("w") as errors:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **(environment or {})},
        )
    assert process.stdout is not None
    with process.stdout:
        running = Running(process, log)
        try:
            yield running
        finally:
            running.stop()


def wait_until(true: Callable[[], object], seconds: float = 20) -> None:
    """Wait until something holds.

    Raises:
        AssertionError: it does not within `seconds`.
    """
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
