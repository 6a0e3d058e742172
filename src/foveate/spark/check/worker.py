"""What a worker says about itself, asked by `foveate.spark.check.asking`.

This file travels to the workers by its code, as they may have no foveate or another one; so it
imports nothing else of foveate before it knows.
"""

from __future__ import annotations

import os
import platform
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Question:
    """What every worker is to try.

    Attributes:
        storage: a folder that the driver put a file `driver` into; empty for none.
        storage_options: of fsspec's file systems, with their secrets.
        contents: of that file.
        work: says what keeps this worker from some work, in words; None where nobody asks. Then
            the network's features are asked for.
        mark: a file of the driver's, see `_shares`; empty for none.
        patience: seconds to stay busy at least, so that all executors get a question.
    """

    storage: str = ""
    storage_options: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    contents: bytes = b""
    work: Callable[[], list[str]] | None = None
    mark: str = ""
    patience: float = 1.0


def ask(question: Question, partition: int) -> dict[str, Any]:
    """What this worker has and can do: `host`, `executor`, `python`, `foveate`, …, `problems`."""
    start = time.monotonic()
    said: dict[str, Any] = {
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "threads": _threads(),
        "partition": partition,
        "shares": _shares(question.mark),
        "problems": [],
        **_executor(),
    }
    try:
        import foveate

        said |= {"foveate": foveate.__version__, "location": foveate.__file__}
        if question.work is None:
            said |= network_facts()
        else:
            said["problems"] += question.work()
        if question.storage:
            said["problems"] += _storage(question, f"worker-{partition}")
    except ImportError as error:
        said["problems"] = [
            "foveate is not installed there"
            if error.name == "foveate"
            else f"foveate cannot be used there: {error}"
        ]
    except Exception as error:
        said["problems"] = [f"foveate fails there: {type(error).__name__}: {error}"]
    time.sleep(max(0.0, question.patience - (time.monotonic() - start)))
    return said


def answers(question: Question, partition: int, rows: Iterator[object]) -> Iterator[dict[str, Any]]:
    """For `RDD.mapPartitionsWithIndex`: one answer a partition, whatever is in it."""
    for _ in rows:
        pass
    yield ask(question, partition)


def network_facts() -> dict[str, Any]:
    """`runtime`, `precision` and `features` of one generated image, of the embedded network."""
    import numpy as np

    from foveate.backbones import find_backbone
    from foveate.runtime import open_network

    network = open_network(
        find_backbone("efficientnet-lite0").onnx_bytes(), resolution=64, workers=_threads()
    )
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    features = network.run(pixels)[0]
    return {
        "runtime": network.runtime,
        "precision": network.precision,
        "features": features.tolist(),
    }


def _storage(question: Question, name: str) -> list[str]:
    from foveate import files

    files.use_storage_options(question.storage_options)
    try:
        read = files.read_bytes(files.join(question.storage, "driver"))
    except Exception as error:  # stores raise what they like
        return [f"it cannot read the storage: {type(error).__name__}: {error}"]
    if read != question.contents:
        return ["it reads from the storage something else than was written"]
    try:
        files.write_anywhere(files.join(question.storage, name), read[::-1])
    except Exception as error:
        return [f"it cannot write to the storage: {type(error).__name__}: {error}"]
    return []


def _shares(mark: str) -> bool:
    """Whether a file of the driver's is seen here, in a folder that this worker may write to."""
    return mark != "" and Path(mark).is_file() and os.access(Path(mark).parent, os.W_OK)


def _threads() -> int:
    """Cores that Spark gave to this task."""
    try:
        from pyspark import TaskContext

        context = TaskContext.get()
        return context.cpus() if context is not None else 1
    except (ImportError, AttributeError):
        return 1


def _executor() -> dict[str, Any]:
    """Id and cores of the executor, from the command line of the JVM that started this Python.

    Nothing that Spark hands to a task tells them. Both are None in the driver's own JVM, and where
    there is no /proc; then the daemon's process id tells executors of a host apart.
    """
    daemon = os.getppid()
    said: dict[str, Any] = {"executor": f"pid {daemon}", "cores": None}
    try:
        status = Path(f"/proc/{daemon}/status").read_text()
        parent = re.search(r"PPid:\s+(\d+)", status)
        line = Path(f"/proc/{parent[1]}/cmdline").read_bytes() if parent else b""
    except OSError:
        return said
    words = line.decode(errors="replace").split("\0")
    for word, value in pairwise(words):
        if word == "--executor-id":
            said["executor"] = value
        if word == "--cores" and value.isdecimal():
            said["cores"] = int(value)
    return said
