"""What keeps a worker small and quiet, set by the operating system: its memory, its stderr.

Decoders are code of others, given bytes of strangers. `foveate.image` estimates what an image
costs before it is decoded; what it does not foresee ends here, and costs an image, or one worker.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from foveate.serve.logs import JsonLines

IMAGE_BYTES_PER_PIXEL: Final = 8
"""Of `max_pixels`: an image of four bytes a pixel, and the RGB that is made of it."""

LEAST_IMAGE_BYTES: Final = 200_000_000
"""For images, where `max_pixels` is small: decoders of small images have large tables, too."""

SLACK_BYTES: Final = 64 * 2**20
"""For rows, tables and strips of decoders, a second copy of some of the pixels of a batch, and
what the allocator does not give back."""

_LINE_BYTES: Final = 500
"""Of a line that is logged: as JSON below 4,096 bytes, which a pipe takes as a whole."""

_LINES_A_SECOND: Final = 10


def image_bytes(max_pixels: int) -> int:
    """Bytes of memory that decoding one image may take in a worker."""
    return max(LEAST_IMAGE_BYTES, IMAGE_BYTES_PER_PIXEL * max_pixels)


def confine_memory(max_pixels: int, max_bytes: int, batch: int) -> int:
    """On Linux, let this process take no more memory than it has and what a batch may need.

    Call it when models are loaded and have run once, as what they take then is all they ever do.
    Beyond the limit allocations fail: in Python with a `MemoryError`, in decoders with an error
    of their own, in a few with the end of the process.

    Returns:
        The bytes that are allowed on top of what is taken now: an image, the files of a batch,
        and some slack.
    """
    allowed = image_bytes(max_pixels) + batch * max_bytes + SLACK_BYTES
    if sys.platform != "linux":
        return allowed
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _data_bytes() + allowed
    if hard == resource.RLIM_INFINITY or limit < hard:
        # Private writable memory; unlike RLIMIT_AS, not what allocators reserve and never touch.
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    return allowed


def _data_bytes() -> int:
    """Private writable memory of this process, as RLIMIT_DATA counts it (Linux 4.7)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0


@contextmanager
def json_stderr() -> Iterator[None]:
    """Turn what libraries print, in C or Python, into log lines on stderr; stop at an exception.

    Nothing ever waits for a reader: lines are dropped while stderr takes none, and counted where
    there are more than ten a second.
    """
    real = os.dup(2)
    source, sink = os.pipe()
    os.set_blocking(sink, False)  # who prints into a full pipe loses the line
    for descriptor in (1, 2):
        os.dup2(sink, descriptor)
    os.close(sink)
    relay = threading.Thread(target=_relay, args=(source, real), daemon=True)
    relay.start()
    try:
        yield
    except Exception as error:
        about = {"worker": os.getpid(), "error": str(error)[:_LINE_BYTES]}
        _write(real, "worker failed", logging.ERROR, about, trace=True)
        raise SystemExit(1) from None
    finally:
        for descriptor in (1, 2):
            os.dup2(real, descriptor)  # the pipe has no writers now, and the relay ends
        relay.join(1)


def _relay(source: int, real: int) -> None:
    second, lines, dropped = 0, 0, 0
    with os.fdopen(source, "rb") as printed:
        for line in iter(lambda: printed.readline(_LINE_BYTES), b""):
            now = int(time.monotonic())
            second, lines = (second, lines + 1) if now == second else (now, 1)
            text = line.decode(errors="replace").strip()
            if not text:
                continue
            if lines > _LINES_A_SECOND:
                dropped += 1
                continue
            about: dict[str, object] = {"worker": os.getpid(), "text": text}
            if dropped:
                about["dropped"] = dropped
            _write(real, "a library says", logging.WARNING, about)
            dropped = 0
    if dropped:
        about = {"worker": os.getpid(), "dropped": dropped}
        _write(real, "a library says", logging.WARNING, about)


def _write(
    real: int, event: str, level: int, about: dict[str, object], *, trace: bool = False
) -> None:
    record = logging.LogRecord(
        "foveate.serve", level, "", 0, event, (), sys.exc_info() if trace else None
    )
    record.about = about
    with suppress(OSError):  # nobody reads
        os.write(real, JsonLines().format(record).encode(errors="backslashreplace") + b"\n")
