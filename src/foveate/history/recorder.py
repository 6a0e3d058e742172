"""The process that keeps a run's record: `python -m foveate.history.recorder`.

It is started by `recording` with the place and the run's folder in the outbox, and ends by itself.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from foveate.files import write_bytes
from foveate.history.outbox import Entry, waiting
from foveate.history.place import Place


def main(arguments: list[str]) -> int:
    """Announce a run, wait until it is over, and send it and all others that wait.

    Args:
        arguments: folder of the place, whose tracking URI and experiment are in the environment
            by MLflow's own names; the run's folder in the outbox, or nothing to send what waits.
    """
    folder, *runs = arguments
    uri, experiment = (os.environ[f"MLFLOW_{name}"] for name in ("TRACKING_URI", "EXPERIMENT_NAME"))
    place = Place(Path(folder), uri, experiment)
    for run in runs:
        _announce(place, Entry(Path(run)))
        sys.stdin.buffer.read()  # ends when the run does
    send_all(place)
    return 0


def send_all(place: Place) -> None:
    """Send every run in the outbox that nobody works on."""
    for entry in waiting(place.outbox):
        _send(place, entry)


def _announce(place: Place, entry: Entry) -> None:
    """Show a run that has begun. Where that fails, it is shown when it is over."""
    from foveate.history import tracking

    record = entry.read()
    if record is None:
        return
    with suppress(Exception), tracking.connected(place, patient=False) as client:
        tracking.begin(client, place, record)


def _send(place: Place, entry: Entry) -> None:
    from foveate.history import tracking

    lock = entry.lock()
    try:
        lock.acquire(timeout=0)
    except (OSError, TimeoutError):
        return  # somebody works on it
    try:
        record = entry.settle()
        if record is None:
            return
        with tracking.connected(place, patient=True) as client:
            tracking.send(client, place, record, entry.artifacts)
        entry.delete()
    except Exception as error:
        with suppress(OSError):
            now = time.strftime("%Y-%m-%d %H:%M:%S")
            said = place.hide(f"{now} {type(error).__name__}: {error}\n")
            write_bytes(entry.failure, said.encode())
    finally:
        lock.release()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
