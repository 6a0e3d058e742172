"""Start a server, wait until it answers, watch its memory, stop it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.common import ROOT

START_SECONDS, STOP_SECONDS = 60.0, 25.0
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass(frozen=True)
class Setup:
    """One way to start a server.

    Attributes:
        name: of the server.
        words: how it is set up, for people.
        command: `{port}` stands for a free port; without it, the first line that the server prints
            holds its URL.
        ready: path that answers 200 once it serves.
        environment: variables besides those there are.
    """

    name: str
    words: str
    command: Sequence[str]
    ready: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        url: without a path.
        pid: of its first process.
        log: what it said on stderr.
    """

    url: str
    pid: int
    log: Path

    def memory_mib(self) -> float:
        """Resident memory of its process tree, in MiB; what processes share counts in each."""
        return sum(_resident_mib(pid) for pid in _tree(self.pid))


@contextmanager
def started(setup: Setup, folder: Path) -> Iterator[Server]:
    """A server that is ready; it is gone afterwards, with all of its processes.

    Raises:
        RuntimeError: it did not get ready, or needed to be killed at the end.
    """
    port = _free_port()
    command = [word.format(port=port) for word in setup.command]
    log = folder / f"{setup.name}.log"
    environment = os.environ | {"FOVEATE_HISTORY": "off"} | setup.environment
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    try:
        assert process.stdout is not None
        if "{port}" in "".join(setup.command):
            url = f"http://127.0.0.1:{port}"
            threading.Thread(target=process.stdout.read, daemon=True).start()
        else:
            found = re.search(r"http://\S+", process.stdout.readline().decode())
            if found is None:
                raise RuntimeError(f"{setup.name} did not start: {log.read_text()[-2000:]}")
            url = found[0].rstrip("/.")
        _wait(url + setup.ready, process, log)
        yield Server(url, process.pid, log)
    finally:
        _stop(process)


@contextmanager
def watched(server: Server) -> Iterator[list[float]]:
    """The memory of a server in MiB, once a second; the list grows until the end."""
    samples: list[float] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            samples.append(server.memory_mib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield samples
    finally:
        over.set()
        watcher.join()


def python(*words: str) -> list[str]:
    """A command of this environment's Python."""
    return [sys.executable, *words]


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.1)
    raise RuntimeError(f"{url} never answered 200: {log.read_text()[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    family = _tree(process.pid)
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"process {process.pid} did not stop when told to, and was killed", flush=True)
        process.kill()
        process.wait()
    for pid in family:  # workers that a killed parent left behind
        try:
            if os.getsid(pid) == process.pid:
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:  # it ended meanwhile
            continue
        for child in children:
            found += _tree(int(child))
    return found


def _resident_mib(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_MIB
    except (OSError, IndexError):
        return 0.0
