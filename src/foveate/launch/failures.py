"""How one of several processes that fails is heard, once.

Where one of them fails, the others fail for want of it. Each leaves its sentence in a file that
torchrun names for it, and whoever started them all says the one that was the cause.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path

from foveate.errors import FoveateError
from foveate.launch.position import is_helper, is_one_of_many

STARTED = "FOVEATE_STARTED"
"""Set where foveate itself, not the user's torchrun, started the process and speaks for it."""

STOPPED = 130
"""Exit status of what Ctrl-C has stopped, as shells have it."""

GONE = (
    "The other processes are gone, and this one cannot go on without them. Where one of them ran, "
    "it is said why. The same command goes on from the last checkpoint."
)

_FILE = "TORCHELASTIC_ERROR_FILE"
_GONE = ("Connection closed by peer", "Connection reset by peer", "Connection refused")


class Cause(IntEnum):
    """What a failure can be, the likeliest cause of all others first."""

    EXPLAINED = 0
    """Something that a user can do something about."""
    KILLED = 1
    """A signal; nobody could say anything."""
    DEFECT = 2
    GONE = 3
    """Perhaps just that another process is gone: most often, PyTorch has no better error."""


@dataclass(frozen=True, slots=True)
class ProcessFailure:
    """Why a process ended.

    Attributes:
        sentence: for the user.
        status: of its exit.
        cause: the kind of it.
        seconds: since 1970, when it failed.
    """

    sentence: str
    status: int
    cause: Cause
    seconds: float


def kind_of(error: BaseException) -> Cause:
    """What an error can be the cause of."""
    if isinstance(error, FoveateError | OSError | MemoryError | KeyboardInterrupt):
        return Cause.EXPLAINED
    return Cause.GONE if isinstance(error, RuntimeError) else Cause.DEFECT


def says_that_others_are_gone(error: BaseException) -> bool:
    """Whether an error of PyTorch is nothing but the end of another process."""
    if not (is_one_of_many() and isinstance(error, RuntimeError)):
        return False
    if any(words in str(error) for words in _GONE):
        return True
    return type(error).__name__ in ("DistNetworkError", "DistStoreError")


def hand_over(sentence: str, status: int, cause: Cause) -> bool:
    """Leave a failure where whoever started this process finds it.

    Args:
        sentence: for the user.
        status: of the exit.
        cause: the kind of it.

    Returns:
        Whether somebody else says it, so that this process need not.
    """
    place = os.environ.get(_FILE)
    if not (is_one_of_many() and place):
        return False
    failure = ProcessFailure(sentence, status, cause, time.time())
    # The two that torchrun knows, too, which shows the first sentence.
    known = {"message": sentence, "timestamp": int(failure.seconds)}
    try:
        Path(place).write_text(json.dumps(known | asdict(failure)), encoding="utf-8")
    except OSError:
        return False
    return is_helper() or STARTED in os.environ


def read_failures(folder: Path) -> list[ProcessFailure]:
    """What processes left below a folder; `torch.distributed` makes one for each of them."""
    return [_read(file) for file in sorted(folder.rglob("error.json"))]


def _read(file: Path) -> ProcessFailure:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        cause = Cause(told["cause"])
        return ProcessFailure(told["sentence"], told["status"], cause, told["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        # Ended while it wrote, or PyTorch itself wrote it.
        return ProcessFailure(GONE, 1, Cause.GONE, time.time())
