"""PyTorch's torchrun within this process, heard as one process would be.

Its log and its summary of what failed are for programmers: they show with `--debug` only. What it
knows of the failure becomes one sentence, and one exit status.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from foveate.errors import ClusterError, FoveateError
from foveate.launch.failures import STARTED, STOPPED, Cause, ProcessFailure, read_failures

_ENDING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
"""What torchrun hands on to the processes; they have sessions of their own."""

_AT_ONCE = 5.0
"""Seconds after a failure that others cannot have been killed in for not ending: torchrun gives
them 30."""


@contextmanager
def hushed() -> Iterator[None]:
    """Within, what PyTorch logs is seen with `--debug` only; it must not be imported before."""
    if "--debug" in sys.argv:
        yield
        return
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        # Its C++ parts show stacks of connections that end. They look here when they are loaded.
        with _environment({"TORCH_CPP_LOG_LEVEL": "FATAL"}):
            yield
    finally:
        logging.disable(before)


def run_processes(meeting: Sequence[str], count: int, threads: int) -> None:
    """Run this very command in `count` processes here, and wait for them.

    Args:
        meeting: torchrun's flags that say how the processes find each other.
        count: processes of this machine.
        threads: of each.

    Raises:
        ClusterError: other machines could not be reached, or are gone.
        FoveateError: a process failed; the sentence is that of the one that was the cause.
        KeyboardInterrupt: Ctrl-C.
        SystemExit: another signal ended them.
    """
    with (
        tempfile.TemporaryDirectory(prefix="foveate-torchrun-") as folder,
        _environment({STARTED: "1", "OMP_NUM_THREADS": str(threads)}),
        _signals_restored(),
    ):
        words = [*meeting, "--nproc-per-node", str(count), "--log-dir", folder]
        _run([*words, "-m", "foveate", *sys.argv[1:]], Path(folder))


def _run(words: list[str], folder: Path) -> None:
    from torch.distributed import DistError
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.run import parse_args, run

    try:
        run(parse_args(words))
    except ChildFailedError as error:
        failure = first_cause(read_failures(folder), list(error.failures.values()))
        if failure.status == STOPPED:
            raise KeyboardInterrupt from None
        raise FoveateError(failure.sentence) from error
    except SignalException as error:
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from None
        raise SystemExit(128 + error.sigval) from None
    except (RendezvousError, DistError) as error:
        cause = error.__cause__ or error
        first_line = str(cause).strip().partition("\n")[0] or type(cause).__name__
        raise ClusterError(
            "The machines did not meet, or lost each other. Start the same command on each within "
            "ten minutes, and look whether they reach the HOST:PORT where they meet. PyTorch says: "
            f"{first_line}"
        ) from error


def first_cause(left: Sequence[ProcessFailure], ended: Sequence[Any]) -> ProcessFailure:
    """The failure that the others followed from.

    Args:
        left: what processes said of themselves.
        ended: torchrun's own record of each process that did not end well, with `exitcode`
            (a signal's number, negative, where one ended it) and `timestamp` (whole seconds).
    """
    begun = min((failure.seconds for failure in left), default=float("inf"))
    # SIGTERM is how torchrun ends the others.
    signals = [
        (process.timestamp, process.exitcode != -signal.SIGKILL, -process.exitcode)
        for process in ended
        if process.exitcode < 0 and process.exitcode != -signal.SIGTERM
    ]
    failures = list(left)
    if signals and min(signals)[0] <= begun + _AT_ONCE:
        seconds, _, number = min(signals)
        failures.append(ProcessFailure(_killed(number), 1, Cause.KILLED, seconds))
    if failures:
        return min(failures, key=lambda failure: (failure.cause, failure.seconds))
    statuses = ", ".join(str(process.exitcode) for process in ended)
    silent = f"A process ended without a word (exit status {statuses}); --debug shows more."
    return ProcessFailure(silent, 1, Cause.DEFECT, 0.0)


def _killed(number: int) -> str:
    if number == signal.SIGKILL:
        return (
            "A process was killed, in most cases because memory was short. With fewer processes "
            "the same command goes on from the last checkpoint; a smaller --set minibatch=… needs "
            "less memory, too, but begins anew."
        )
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return (
        f"A process was ended by {name}; --debug may show why. The same command goes on from the "
        "last checkpoint."
    )


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Within, these variables have these values."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _signals_restored() -> Iterator[None]:
    """Torchrun sets handlers that it leaves behind."""
    numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
