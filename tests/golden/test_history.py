"""What the run history keeps when a command succeeds, fails, is stopped, or is killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import draw_folder, hear_ctrl_c
from foveate.history import find_place, list_runs
from foveate.history.outbox import Entry, waiting
from golden.conftest import golden, shape


def entries() -> list[Entry]:
    place = find_place()
    assert place is not None
    return waiting(place.outbox)


def about_machine(tag: str) -> bool:
    return tag.startswith(("git", "library", "machine"))


def described(entry: Entry) -> dict[str, object]:
    """A record by its keys and types, and the names of its files."""
    record = entry.read()
    assert record is not None
    kept = json.loads(record.to_json())
    kept["metrics"] = dict.fromkeys(kept["metrics"], 0)
    files = sorted(path.name for path in entry.artifacts.glob("*")) if entry.artifacts else []
    return {"record": shape(kept), "status": record.status, "files": files}


@pytest.mark.parametrize(
    ("name", "command", "status"),
    [
        ("train", "train photos --out other.onnx --resolution 64", 0),
        ("evaluate", "evaluate m.onnx photos --include-training --report r.html", 0),
        ("score", "score m.onnx photos --out scored.csv", 0),
        ("tune", "tune photos --resolution 64 --classifier svm --set c=1.0 --report t.html", 0),
        ("failed", "train nowhere --out other.onnx", 1),
    ],
)
def test_what_is_kept(
    name: str, command: str, status: int, said: Callable[..., tuple[int, str, str]]
) -> None:
    before = {entry.folder for entry in entries()}
    assert said(*command.split(), "--quiet")[0] == status
    (entry,) = [entry for entry in entries() if entry.folder not in before]
    golden(f"history/{name}", described(entry))
    if status:
        record = entry.read()
        assert record is not None
        golden("history/failed-reason", record.reason)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "number"), [("stopped", signal.SIGINT), ("killed", signal.SIGKILL)]
)
def test_what_is_kept_of_what_ends_early(
    name: str,
    number: signal.Signals,
    tmp_path: Path,
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FOVEATE_HISTORY", str(tmp_path / "history"))
    source = draw_folder(tmp_path / "photos", 300)
    process = subprocess.Popen(
        [sys.executable, "-m", "foveate", "train", str(source), "--quiet"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
    )
    while not list(own_cache.rglob("*.parquet")) and process.poll() is None:
        time.sleep(0.05)
    assert process.poll() is None, "it is at work"
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    place = find_place()
    assert place is not None
    while waiting(place.outbox):
        time.sleep(0.1)
    (run,) = list_runs(place)
    golden(
        f"history/{name}",
        {
            "exit": process.returncode,
            "says": err.strip(),
            "status": run.status,
            "reason": run.reason,
            "metrics": sorted(run.metrics),
            "tags": sorted(tag for tag in run.tags if not about_machine(tag)),
        },
    )
