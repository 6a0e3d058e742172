"""Runs arrive in MLflow, however they end."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from foveate.errors import TooFewImages
from foveate.history import (
    HistoryPlace,
    Outcome,
    Record,
    RecordedRun,
    artifact,
    list_runs,
    recording,
    unsent_runs,
)
from foveate.history import recorder as recorder_process
from foveate.history.outbox import KILLED, Entry, waiting
from foveate.history.recording import send_waiting

# MLflow uses what SQLAlchemy is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

PATIENCE = 180.0

WORK = """
import sys, time
from pathlib import Path
from foveate.history import Outcome, find_place, recording
project, what = Path(sys.argv[1]), sys.argv[2]
with recording(find_place(project), "train", "photos", {"c": "1"}, label="svm") as run:
    print(run.name, flush=True)
    if what == "sleep":
        time.sleep(120)
    run.finish(Outcome({"accuracy": 0.5}, {}, {"seed": "1"}, {}, lambda folder: None))
"""


def place_in(folder: Path, uri: str | None = None) -> HistoryPlace:
    return HistoryPlace(folder, uri or f"sqlite:///{folder / 'runs.db'}", "garments")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> HistoryPlace:
    """One for all tests here: making its tables takes seconds."""
    return place_in(tmp_path_factory.mktemp("history"))


def outcome(**changes: object) -> Outcome:
    def write(folder: Path) -> None:
        (folder / "note.txt").write_text("kept")

    made = Outcome(
        metrics={"accuracy": 0.75, "class.b.accuracy": 0.5, "not/a:name": 0.25},
        series={"epoch.loss": [3.0, 2.0, 1.0]},
        settings={"classifier": "svm", "c": "[0.1, 1.0]"},
        tags={"data": "abc"},
        write_artifacts=write,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def arrived(place: HistoryPlace, name: str) -> RecordedRun:
    """The run, once MLflow has it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if not waiting(place.outbox):
            found = [run for run in list_runs(place) if run.name == name]
            if found and found[0].status != "running":
                return found[0]
        time.sleep(0.05)
    raise AssertionError([entry.why_not_sent() for entry in waiting(place.outbox)])


@pytest.mark.slow
def test_a_finished_run_has_everything(place: HistoryPlace) -> None:
    with recording(place, "train", "photos/", {"seed": "1"}, label="svm") as run:
        assert run.name.split("-")[2] == "svm"
        shown = list_runs(place)
        assert [(r.name, r.status) for r in shown if r.name == run.name] == [(run.name, "running")]
        run.finish(outcome())
    found = arrived(place, run.name)
    assert (found.kind, found.status, found.reason) == ("train", "finished", None)
    assert found.source == "photos/"
    assert found.settings == {"seed": "1", "classifier": "svm", "c": "[0.1, 1.0]"}
    assert found.metrics["accuracy"] == 0.75
    assert found.metrics["class.b.accuracy"] == 0.5
    assert "not/a:name" not in found.metrics  # MLflow would not take the run
    assert found.metrics["epoch.loss"] == 1.0  # the last
    assert found.tags["data"] == "abc"
    assert {"python", "machine.cores", "library.numpy", "foveate.version"} <= set(found.tags)
    assert found.artifacts is not None
    assert (found.artifacts / "note.txt").read_text() == "kept"
    assert found.seconds is not None
    assert 0 < found.seconds < PATIENCE


@pytest.mark.slow
def test_what_is_read_is_what_mlflow_says(place: HistoryPlace) -> None:
    from mlflow.tracking import MlflowClient

    with recording(place, "train", "photos/", {"seed": "1"}) as run:
        run.finish(outcome())
    found = arrived(place, run.name)
    told = MlflowClient(place.uri).get_run(found.mlflow_id)
    assert told.data.metrics == found.metrics
    assert told.data.params == found.settings
    assert told.info.status == "FINISHED"
    assert told.info.start_time == round(1000 * found.started)
    assert found.tags.items() <= told.data.tags.items()
    history = MlflowClient(place.uri).get_metric_history(found.mlflow_id, "epoch.loss")
    assert [(point.step, point.value) for point in history] == [(0, 3.0), (1, 2.0), (2, 1.0)]


@pytest.mark.slow
def test_sent_twice_is_there_once(place: HistoryPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    with recording(place, "train", "photos/", {"seed": "1"}) as run:
        run.finish(outcome())
    first = arrived(place, run.name)
    entry = Entry(place.outbox / first.id)
    entry.artifacts.mkdir(parents=True)
    with recording(place, "train", "photos/", {"seed": "1"}) as other:
        record = waiting(place.outbox)[0].read()
    assert record is not None
    arrived(place, other.name)
    recorder_process.send_all(place)
    again = replace(
        record, id=first.id, name=first.name, started=first.started, ended=first.ended,
        status="finished", metrics={"accuracy": 0.75}, series={"epoch.loss": [3.0, 2.0, 1.0]},
    )  # fmt: skip
    entry.write(again)
    recorder_process.send_all(place)
    found = [run for run in list_runs(place) if run.id == first.id]
    assert len(found) == 1
    assert found[0].mlflow_id == first.mlflow_id
    assert found[0].metrics == first.metrics


@pytest.mark.slow
def test_a_run_that_raises_failed(place: HistoryPlace) -> None:
    with (
        pytest.raises(TooFewImages),
        recording(place, "train", "photos/", {"seed": "1"}) as run,
    ):
        raise TooFewImages("‘striped’ has 1 image.")
    found = arrived(place, run.name)
    assert (found.status, found.reason) == ("failed", "‘striped’ has 1 image.")
    assert found.settings == {"seed": "1"}


@pytest.mark.slow
def test_a_defect_and_ctrl_c_are_named(place: HistoryPlace) -> None:
    for error, said in (
        (ZeroDivisionError("x"), "ZeroDivisionError: x"),
        (KeyboardInterrupt(), "Ctrl-C"),
    ):
        with pytest.raises(type(error)), recording(place, "train", "photos/", {"seed": "1"}) as run:
            raise error
        assert said in str(arrived(place, run.name).reason)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_is_killed_failed(place: HistoryPlace, how: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WORK, str(place.folder), "sleep"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "FOVEATE_HISTORY": "", "MLFLOW_EXPERIMENT_NAME": "garments"},
    )
    with process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        process.send_signal(how)
        process.wait()
    found = arrived(place, name)
    assert (found.status, found.reason) == ("failed", KILLED)


def test_nothing_is_kept_where_history_is_off() -> None:
    with recording(None, "train", "photos/", {}) as run:
        run.finish(outcome())
    assert run.name


def test_a_disk_that_refuses_does_not_fail_the_run(tmp_path: Path) -> None:
    (tmp_path / "runs.outbox").write_text("a file where a folder should be")
    said: list[str] = []
    with recording(place_in(tmp_path), "train", "photos/", {}, remark=said.append) as run:
        run.finish(outcome())
    assert len(said) == 1
    assert f"not on record in ‘{tmp_path}’" in said[0]
    assert "a part of its path is a file" in said[0]


@pytest.mark.slow
def test_files_that_cannot_be_written_do_not_fail_the_run(place: HistoryPlace) -> None:
    def write(folder: Path) -> None:
        raise OSError("disk full")

    with recording(place, "train", "photos/", {"seed": "1"}) as run:
        run.finish(outcome(write_artifacts=write))
    found = arrived(place, run.name)
    assert found.status == "finished"
    assert "disk full" in found.tags["record.incomplete"]
    assert found.metrics["accuracy"] == 0.75
    assert found.settings["classifier"] == "svm"


@pytest.mark.slow
def test_names_that_are_not_unicode_do_not_fail_the_run(place: HistoryPlace) -> None:
    with recording(place, "train", "phot\udce9s", {}) as run:
        run.finish(outcome())
    assert arrived(place, run.name).source == "phot\\xe9s"
    with pytest.raises(OSError, match="phot"), recording(place, "train", "x", {}) as run:
        raise OSError("no phot\udce9s")
    assert "phot\\xe9s" in str(arrived(place, run.name).reason)


@pytest.mark.slow
def test_secrets_are_not_on_record(place: HistoryPlace) -> None:
    source = "https://me:p@ss@store.net/photos?sig=abc"
    with recording(place, "train", source, {"model": source}) as run:
        run.finish(outcome(tags={"reproduce": f"foveate train '{source}' --seed 1"}))
    found = arrived(place, run.name)
    assert found.source == "https://store.net/photos?…"
    assert found.settings["model"] == "https://store.net/photos?…"
    assert found.tags["reproduce"] == "foveate train 'https://store.net/photos?…' --seed 1"


@pytest.mark.slow
def test_modules_in_the_working_folder_are_not_run(
    place: HistoryPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "__init__.py").write_text("open('was run', 'w')")
    (tmp_path / "json.py").write_text("raise ImportError")
    monkeypatch.chdir(tmp_path)
    with recording(place, "train", "photos/", {}) as run:
        run.finish(outcome())
    assert arrived(place, run.name).status == "finished"
    assert not (tmp_path / "was run").exists()


@pytest.mark.slow
def test_a_project_that_moves_keeps_its_runs(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    with recording(place_in(old), "train", "photos/", {}) as before:
        before.finish(outcome())
    arrived(place_in(old), before.name)
    old.rename(new)
    moved = place_in(new)
    with recording(moved, "train", "photos/", {}) as after:
        after.finish(outcome())
    arrived(moved, after.name)
    assert not old.exists()
    for name in (before.name, after.name):
        found = arrived(moved, name)
        assert artifact(moved, found, "note.txt").read_text() == "kept"
    with closing(sqlite3.connect(new / "runs.db")) as connection:
        places = {uri for (uri,) in connection.execute("SELECT artifact_uri FROM runs")}
    assert all(uri.startswith((new / "runs").as_uri()) for uri in places)


@pytest.mark.slow
def test_a_server_that_is_down_gets_the_run_later(tmp_path: Path, place: HistoryPlace) -> None:
    # A port that nobody listens on: the connection is refused at once.
    down = place_in(tmp_path, "http://127.0.0.1:9")
    with recording(down, "train", "photos/", {}) as run:
        run.finish(outcome())
    entry = waiting(down.outbox)[0]
    deadline = time.monotonic() + PATIENCE
    while entry.why_not_sent() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert entry.why_not_sent() is not None
    (found,) = unsent_runs(down)
    assert (found.name, found.status, found.metrics["accuracy"]) == (run.name, "finished", 0.75)
    assert found.artifacts is not None
    assert (found.artifacts / "note.txt").is_file()
    while entry.is_held():
        time.sleep(0.1)
    said = send_waiting(down)
    assert said is not None
    assert "1 run could not be sent to http://127.0.0.1:9" in said
    # The same outbox, and a place that answers.
    up = HistoryPlace(tmp_path, place.uri, "garments")
    deadline = time.monotonic() + PATIENCE
    while not (sent := recorder_process.send_all(up)) and time.monotonic() < deadline:
        time.sleep(0.1)  # the other is still trying
    assert sent
    assert waiting(up.outbox) == []
    assert [r.name for r in list_runs(place) if r.name == run.name] == [run.name]


def test_sending_waits_for_who_is_sending(tmp_path: Path) -> None:
    nobody = place_in(tmp_path, "http://127.0.0.1:9")
    entry = Entry(nobody.outbox / ("ab" * 16))
    entry.folder.mkdir(parents=True)
    entry.write(Record("ab" * 16, "train", "mine", "photos", 1.0, status="finished", ended=2.0))
    lock = entry.lock()
    lock.acquire()
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(recorder_process.send_all, nobody, patience=30)
        with pytest.raises(TimeoutError):
            sent.result(0.3)
        entry.delete()
        lock.release()
        assert sent.result(30)
    assert [file.name for file in nobody.outbox.iterdir()] == ["sweep.lock"]


@pytest.mark.slow
def test_many_commands_at_once_on_a_new_project(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORK, str(tmp_path), "finish"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "FOVEATE_HISTORY": "", "MLFLOW_EXPERIMENT_NAME": "garments"},
        )
        for _ in range(6)
    ]
    names = [process.communicate()[0].strip() for process in processes]
    place = place_in(tmp_path)
    runs = [arrived(place, name) for name in names]
    assert len({run.id for run in runs}) == 6
    assert all(run.metrics == {"accuracy": 0.5} for run in runs)


@pytest.mark.slow
def test_a_run_that_is_never_taken_does_not_hold_up_others(
    place: HistoryPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from foveate.history import tracking

    send = tracking.send

    def refuse(client: object, where: HistoryPlace, record: Record, artifacts: Path) -> None:
        if record.name == "never":
            raise ValueError("not like this")
        send(client, where, record, artifacts)

    monkeypatch.setattr(tracking, "send", refuse)
    entries = []
    for name, run_id in (("never", "00" * 16), ("later", "ff" * 16)):
        entry = Entry(place.outbox / run_id)
        entry.folder.mkdir(parents=True)
        entry.write(Record(run_id, "train", name, "photos", 1.0, status="finished", ended=2.0))
        entries.append(entry)
    assert not recorder_process.send_all(place)
    assert waiting(place.outbox) == entries[:1]
    assert "not like this" in str(entries[0].why_not_sent())
    entries[0].delete()
    assert "later" in [run.name for run in list_runs(place)]
