"""ONNX Runtime and OpenVINO do not report to their makers that foveate uses them.

Left alone, both do. ONNX Runtime (from 1.29) keeps an identifier of the machine and a database of
events in the user's cache folder and sends them to Microsoft; `import openvino` leaves an
identifier in `~/intel`, starts a process and sends an event to Google Analytics. Foveate works on
other people's pictures and often without a network, so it turns off both before they are loaded.
What the user has decided stays as it is: a variable that is set already, OpenVINO's consent file,
and what the user's own programs import.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_REPORTER = "openvino_telemetry"


def silence_onnxruntime() -> None:
    """Tell ONNX Runtime, which looks when it is loaded, here and in processes started from here."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


@contextmanager
def openvino_silenced() -> Iterator[None]:
    """Import OpenVINO in here, for the first time in this process, and it will report nothing.

    OpenVINO has neither a variable nor a setting for this process, only a file in the home folder
    for all of the user's programs. But it does without the package that reports where that is not
    installed, and so it seems in here.
    """
    real = sys.modules.get(_REPORTER)
    sys.modules[_REPORTER] = None  # type: ignore[assignment] # as if it were not installed
    try:
        yield
    finally:
        if real is None:
            del sys.modules[_REPORTER]
        else:
            sys.modules[_REPORTER] = real
