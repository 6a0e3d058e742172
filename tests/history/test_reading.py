from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from foveate.errors import HistoryError
from foveate.history import HistoryPlace, RecordedRun, artifact, find_run, list_runs

RUN = RecordedRun(
    id="ab" * 16, mlflow_id="cd" * 16, name="20261121-101502-svm-abab", kind="train",
    status="finished", reason=None, source="photos", started=10.0, ended=12.5, settings={},
    metrics={}, tags={}, artifacts=None,
)  # fmt: skip
OTHER = replace(RUN, id="ef" * 16, mlflow_id="01" * 16, name="20261121-101503-svm-efef")
RUNS = [OTHER, RUN]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("last", OTHER),
        ("last~0", OTHER),
        ("last~1", RUN),
        (RUN.name, RUN),
        (RUN.id, RUN),
        ("cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd", RUN),
        ("abab", RUN),
        ("svm-efef", OTHER),
        ("20261121-101502", RUN),
    ],
)
def test_ways_to_name_a_run(wanted: str, found: RecordedRun) -> None:
    assert find_run(RUNS, wanted) is found


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("last~2", "only 2 runs"),
        ("nothing", "No run is called ‘nothing’"),
        ("20261121", "any of 2 runs"),
    ],
)
def test_what_names_no_run(wanted: str, said: str) -> None:
    with pytest.raises(HistoryError, match=said):
        find_run(RUNS, wanted)


def test_no_database_no_runs(tmp_path: Path) -> None:
    assert list_runs(HistoryPlace(tmp_path, f"sqlite:///{tmp_path / 'runs.db'}", "x")) == []
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_database_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "runs.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(HistoryError, match=r"runs\.db’ cannot be read"):
        list_runs(HistoryPlace(tmp_path, f"sqlite:///{tmp_path / 'runs.db'}", "x"))


def test_a_server_that_does_not_answer_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=r"127\.0\.0\.1:9 does not answer"):
        list_runs(HistoryPlace(tmp_path, "http://127.0.0.1:9", "x"))


def test_files_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("x")
    place = HistoryPlace(tmp_path, f"sqlite:///{tmp_path / 'runs.db'}", "x")
    run = replace(RUN, artifacts=tmp_path)
    assert artifact(place, run, "report.html") == tmp_path / "report.html"
    with pytest.raises(HistoryError, match=r"no file ‘model\.onnx’"):
        artifact(place, run, "model.onnx")


def test_seconds_and_json() -> None:
    assert RUN.seconds == 2.5
    assert replace(RUN, ended=None).seconds is None
    assert RUN.to_json()["name"] == RUN.name
