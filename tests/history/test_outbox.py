from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from foveate.history import Record
from foveate.history.outbox import KILLED, Entry, waiting

RECORD = Record("ab" * 16, "train", "a name", "photos/", 12.5)

HOLD = """
import sys, time
from pathlib import Path
from foveate.history.outbox import Entry
entry = Entry(Path(sys.argv[1]))
lock = entry.lock()
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    found = Entry(tmp_path / "outbox" / RECORD.id)
    found.folder.mkdir(parents=True)
    found.write(RECORD)
    return found


def test_a_run_is_there_until_it_is_deleted(entry: Entry) -> None:
    outbox = entry.folder.parent
    assert waiting(outbox) == [entry]
    assert entry.read() == RECORD
    entry.delete()
    assert waiting(outbox) == []
    assert entry.read() is None
    assert list(outbox.iterdir()) == []


def test_no_outbox_no_runs(tmp_path: Path) -> None:
    assert waiting(tmp_path / "none") == []


def test_what_cannot_be_read_is_no_record(entry: Entry) -> None:
    (entry.folder / "record.json").write_text("{half")
    assert entry.read() is None
    assert entry.settle() is None


def test_a_finished_run_stays_as_it_is(entry: Entry) -> None:
    finished = replace(RECORD, status="finished", ended=20.0)
    entry.write(finished)
    assert entry.settle() == finished


def test_the_lock_goes_with_the_process(entry: Entry) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(entry.folder)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert entry.is_held()
        process.kill()
        process.wait()
    assert not entry.is_held()
    settled = entry.settle(ended=20.0)
    assert settled is not None
    assert (settled.status, settled.reason, settled.ended) == ("failed", KILLED, 20.0)
    assert entry.read() == settled


def test_a_run_on_another_machine_is_left_alone(entry: Entry) -> None:
    elsewhere = replace(RECORD, tags={"machine": "another"})
    entry.write(elsewhere)
    assert entry.settle() is None
    assert entry.read() == elsewhere
