"""Lines in order, dropped and counted rather than waited for."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

from foveate.errors import SettingsError
from foveate.serve.models import ServedModel
from foveate.serve.operations.logs import PredictionLog, Writer, json_logs
from foveate.serve.workers.queue import ImageAnswer


class Gate:
    """A sink that waits until it is opened, as a pipe that nobody reads."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Event()
        self.written = b""

    def __call__(self, data: bytes) -> None:
        self.entered.set()
        assert self.open.wait(30)
        self.written += data

    @property
    def lines(self) -> list[str]:
        return self.written.decode().splitlines()


def notice(count: int) -> str:
    return f"dropped {count}"


def test_lines_come_in_order() -> None:
    gate = Gate()
    gate.open.set()
    writer = Writer(gate, notice)
    for number in range(1000):
        writer.put(str(number))
    writer.close(30)
    assert gate.lines == [str(number) for number in range(1000)]
    assert writer.dropped == 0


def test_who_hands_a_line_over_never_waits() -> None:
    gate = Gate()
    writer = Writer(gate, notice, most=1000)
    writer.put("first")
    assert gate.entered.wait(30)  # and there the sink hangs
    for _ in range(1000):
        writer.put("x" * 99)
    assert writer.dropped == 1000 - (1000 - len("first\n")) // 100
    writer.close(0)  # nor does the end of the server
    gate.open.set()
    writer.close(30)
    assert gate.lines[0] == "first"
    assert gate.lines[-1] == f"dropped {writer.dropped}"


def test_a_sink_that_fails_is_told_of_once() -> None:
    told: list[OSError] = []
    failing = threading.Event()
    failing.set()
    written: list[bytes] = []

    def sink(data: bytes) -> None:
        if failing.is_set():
            raise OSError(28, "No space left on device")
        written.append(data)

    writer = Writer(sink, notice, told.append)
    for number in range(3):
        writer.put(str(number))
        while writer.dropped <= number:
            pass
    failing.clear()
    writer.put("again")
    writer.close(30)
    assert [error.strerror for error in told] == ["No space left on device"]
    assert b"again" in b"".join(written)


def test_everything_that_is_logged_is_json() -> None:
    gate = Gate()
    gate.open.set()
    before = logging.getLogger().handlers, threading.excepthook, sys.unraisablehook
    with json_logs(sink=gate) as writer:
        logging.getLogger("some.library").warning("a library says")
        logging.getLogger("asyncio").error("Task exception was never retrieved")
        logging.getLogger("broken").warning("%d", "no number")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("a library warns", stacklevel=1)
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
    assert before == (logging.getLogger().handlers, threading.excepthook, sys.unraisablehook)
    said = [json.loads(line) for line in gate.lines]
    assert {"a library says", "a thread failed"} <= {one["event"] for one in said}
    assert any("a library warns" in one["event"] for one in said)
    assert any("ZeroDivisionError" in one.get("trace", "") for one in said)
    assert writer.dropped == 1  # the record that cannot be shown


def answer(served: ServedModel) -> ImageAnswer:
    return ImageAnswer(served, np.array([0.7, 0.2, 0.1], np.float32))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_prediction_log_that_nobody_reads(tmp_path: Path, served: ServedModel) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(SettingsError, match="nobody reads this pipe"):
        PredictionLog(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    log = PredictionLog(pipe)
    while log.writer.dropped < 10:  # it is not read: the pipe is full soon, then the memory
        log.write("id", ["name"] * 100, [b"bytes"] * 100, [answer(served)] * 100)
    os.set_blocking(reader, True)
    assert os.read(reader, 20).startswith(b'{"time"')
    os.close(reader)
    log.close()


def test_a_prediction_log_follows_a_rotation(tmp_path: Path, served: ServedModel) -> None:
    path = tmp_path / "log"
    log = PredictionLog(path)
    log.write("one", [None], [b""], [answer(served)])
    while not path.read_text().endswith("\n"):
        pass
    path.rename(tmp_path / "old")
    log.write("two", [None], [b""], [answer(served)])
    log.close()
    assert json.loads((tmp_path / "old").read_text())["request_id"] == "one"
    assert json.loads(path.read_text())["request_id"] == "two"
