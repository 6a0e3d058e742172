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
from foveate.garbage import collect_seldom
from foveate.history.outbox import Entry, waiting
from foveate.history.place import HistoryPlace
from foveate.history.secrets import without_secrets


def main(arguments: list[str]) -> int:
    """Announce a run, wait until it is over, and send it and all others that wait.

    Args:
        arguments: folder of the place, whose tracking URI and experiment are in the environment
            by MLflow's own names; the run's folder in the outbox, or nothing to send what waits.
    """
    collect_seldom()
    folder, *runs = arguments
    uri, experiment = (os.environ[f"MLFLOW_{name}"] for name in ("TRACKING_URI", "EXPERIMENT_NAME"))
    place = HistoryPlace(Path(folder), uri, experiment)
    for run in runs:
        entry = Entry(Path(run))
        _announce(place, entry)
        sys.stdin.buffer.read()  # ends when the run does
        _send(place, entry, ended=time.time())
    return 0 if send_all(place) else 1


def send_all(place: HistoryPlace, *, patience: float = 0.0) -> bool:
    """Send every run in the outbox that is over.

    Args:
        place: where to.
        patience: seconds to wait for another process that is sending, too.

    Returns:
        Whether all of them arrived.
    """
    from filelock import FileLock

    from foveate.history import tracking

    entries = waiting(place.outbox)
    if not entries:
        return True
    lock = FileLock(place.outbox / "sweep.lock", mode=0o666)
    try:
        lock.acquire(timeout=patience)
    except OSError:
        return False  # somebody is at it
    try:
        arrived = True
        for entry in entries:
            if not _send(place, entry, patience=patience):
                arrived = False
                if not tracking.answers(place):  # nor will it take the others
                    break
        return arrived
    finally:
        lock.release()


def _announce(place: HistoryPlace, entry: Entry) -> None:
    """Show a run that has begun. Where that fails, it is shown when it is over."""
    from foveate.history import tracking

    record = entry.read()
    if record is None:
        return
    with suppress(Exception), tracking.connected(place, patient=False) as client:
        tracking.begin(client, place, record)


def _send(
    place: HistoryPlace, entry: Entry, ended: float | None = None, *, patience: float = 0.0
) -> bool:
    """Send a run, unless somebody works on it; False where it was not taken."""
    from foveate.history import tracking

    seen = entry.read()
    is_over = seen is not None and seen.status != "running"
    lock = entry.lock()
    try:
        lock.acquire(timeout=patience if is_over else 0)
    except OSError:
        return True
    try:
        if not entry.folder.exists():  # sent meanwhile, which leaves us with a lock of nothing
            entry.delete()
            return True
        record = entry.settle(ended)
        if record is None:
            return True
        with tracking.connected(place, patient=True) as client:
            tracking.send(client, place, record, entry.artifacts)
        entry.delete()
    except Exception as error:
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        said = without_secrets(f"{now} {type(error).__name__}: {error}\n")
        with suppress(OSError):
            write_bytes(entry.failure, said.encode())
        return False
    finally:
        lock.release()
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
