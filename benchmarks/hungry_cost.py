"""What one image costs: seconds of a core and memory, measured in a process of its own."""

from __future__ import annotations

import os
import pickle
import resource
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from foveate.errors import ImageRefused
from foveate.image import Limits, Resize, open_image
from foveate.image.pillow import _PLUGINS

PATIENCE = 30
"""Seconds of a core after which an image is given up."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What an image took.

    Attributes:
        seconds: of a core.
        megabytes: resident at the peak, above what was before; the file itself not counted.
        outcome: `read`, the reason and sentence of the refusal, or what ended the decoder.
    """

    seconds: float
    megabytes: float
    outcome: str


class Measurer:
    """A process of one thread that forks for every image; use it in a `with` block."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "benchmarks.hungry_cost"]
        root = Path(__file__).parent.parent
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def cost(self, data: bytes, limits: Limits) -> Cost:
        """Decode `data` to a square of 224 pixels in a new process, within `limits`."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        pickle.dump((data, limits), stdin)
        stdin.flush()
        answer: Cost = pickle.load(stdout)
        return answer


def _cost(data: bytes, limits: Limits) -> Cost:
    source, sink = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (PATIENCE, PATIENCE + 1))
            os.write(sink, pickle.dumps(_decode(data, limits)))
        finally:
            os._exit(0)
    os.close(sink)
    with os.fdopen(source, "rb") as answer:
        said = answer.read()
    _, status, used = os.wait4(pid, 0)
    if said:
        result: Cost = pickle.loads(said)
        return result
    seconds = used.ru_utime + used.ru_stime
    return Cost(seconds, used.ru_maxrss / 1e3, f"ended with status {status}")


def _decode(data: bytes, limits: Limits) -> Cost:
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here (proc(5))
    before = _kilobytes("VmRSS")
    start = time.process_time()
    try:
        open_image(data, limits).pixels(Resize(224))
        outcome = "read"
    except ImageRefused as refused:
        outcome = f"{refused.reason}: {refused.detail}"
    seconds = time.process_time() - start
    return Cost(seconds, (_kilobytes("VmHWM") - before) * 1024 / 1e6, outcome)


def _kilobytes(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(name)).split()[1])


def serve_costs(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer each image and its limits with a `Cost`, until the source ends."""
    for plugin in _PLUGINS.values():  # their memory is not an image's
        import_module(f"PIL.{plugin}")
    with suppress(EOFError):
        while True:
            data, limits = pickle.load(source)
            pickle.dump(_cost(data, limits), sink)
            sink.flush()


if __name__ == "__main__":
    from benchmarks.hungry_cost import serve_costs  # so that `Cost` has the same name on both sides

    serve_costs(sys.stdin.buffer, sys.stdout.buffer)
