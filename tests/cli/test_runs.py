"""`foveate runs` as a person meets it: commands leave runs, runs are listed and compared."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from foveate.cli import run
from foveate.history import Record, find_place
from foveate.history.outbox import Entry, waiting

pytestmark = pytest.mark.slow  # five commands and their records come first

SMALL = ("--resolution", "64", "--quiet")


@pytest.fixture(scope="module")
def history(patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The history of two trainings on the same split, an evaluation, and one that failed."""
    folder = tmp_path_factory.mktemp("history")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("FOVEATE_HISTORY", str(folder))
        patch.chdir(tmp_path_factory.mktemp("work"))
        assert run(["train", str(patterns), "--out", "svm.onnx", *SMALL]) == 0
        forest = ("--classifier", "forest")
        assert run(["train", str(patterns), "--out", "forest.onnx", *forest, *SMALL]) == 0
        assert run(["evaluate", "svm.onnx", str(patterns), "--quiet"]) == 0
        assert run(["score", "svm.onnx", str(patterns), "--out", "p.csv", "--quiet"]) == 0
        assert run(["train", str(patterns), "--exclude", "dots", "--exclude", "checks"]) == 1
        place = find_place()
        assert place is not None
        deadline = time.monotonic() + 300  # a busy machine
        while waiting(place.outbox) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert waiting(place.outbox) == []
    return folder


@pytest.fixture(autouse=True)
def in_history(history: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FOVEATE_HISTORY", str(history))
    monkeypatch.chdir(tmp_path)


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    assert run(["runs", "list", "--json", *arguments]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)["runs"]
    return found


def test_every_command_is_on_record(capsys: pytest.CaptureFixture[str]) -> None:
    runs = listed(capsys)
    assert [(r["kind"], r["status"]) for r in runs] == [
        ("train", "failed"),
        ("score", "finished"),
        ("evaluate", "finished"),
        ("train", "finished"),
        ("train", "finished"),
    ]
    assert "label" in str(runs[0]["reason"])


def test_list_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "list"]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 2 + 5
    for word in (
        "run",
        "accuracy",
        "95 % interval",
        "svm",
        "forest",
        "efficientnet-lite0",
        "failed",
    ):
        assert word in out


def test_list_selects_and_sorts(capsys: pytest.CaptureFixture[str]) -> None:
    found = listed(capsys, "--where", "kind=train", "--where", "accuracy>=0", "--sort", "accuracy")
    values = [r["metrics"]["accuracy"] for r in found]  # type: ignore[index]
    assert len(values) == 2
    assert values == sorted(values, reverse=True)
    assert [r["kind"] for r in listed(capsys, "--where", "classifier=forest")] == ["train"]
    assert listed(capsys, "--where", "accuracy>2") == []
    assert len(listed(capsys, "--limit", "2")) == 2
    assert run(["runs", "list", "--where", "acuracy>0.5"]) == 1
    assert "Did you mean ‘accuracy’?" in capsys.readouterr().err
    assert run(["runs", "list", "--where", "accuracy>2"]) == 0
    assert "No run on record is like that" in capsys.readouterr().out
    assert run(["runs", "list", "--sort", "log_loss"]) == 0
    assert "log_loss" in capsys.readouterr().out.splitlines()[0]


def test_a_wrong_condition_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "list", "--where", "accuracy"]) == 1
    assert "is not a condition" in capsys.readouterr().err


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "show", "last~3"]) == 0
    out = capsys.readouterr().out
    words = ["forest", "stripes", "class average", "all images", "n_train", "near_duplicate_bits"]
    for word in [*words, "library.numpy", "predictions.parquet", "model.onnx"]:
        assert word in out
    assert run(["runs", "show"]) == 0
    assert "failed after" in capsys.readouterr().out
    assert run(["runs", "show", "last~4", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["settings"]["classifier"] == "svm"


def test_show_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "show", "nonsense"]) == 1
    assert "No run is called ‘nonsense’" in capsys.readouterr().err


def test_no_runs_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FOVEATE_HISTORY", str(tmp_path))
    assert run(["runs", "list"]) == 0
    assert "No runs on record" in capsys.readouterr().out
    assert run(["runs", "ui"]) == 1
    monkeypatch.setenv("FOVEATE_HISTORY", "off")
    assert run(["runs", "list"]) == 1
    assert "turned off" in capsys.readouterr().err


def test_send(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["runs", "send"]) == 0
    assert "0 sent, 0 left" in capsys.readouterr().out
    monkeypatch.setenv("FOVEATE_HISTORY", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    entry = Entry(tmp_path / "runs.outbox" / ("ab" * 16))
    entry.folder.mkdir(parents=True)
    entry.write(Record("ab" * 16, "train", "mine", "photos", 1.0, status="finished", ended=2.0))
    assert run(["runs", "send"]) == 1
    assert "1 are kept" in capsys.readouterr().err
    assert run(["runs", "list"]) == 0
    shown = capsys.readouterr()
    assert "mine" in shown.out
    assert "does not answer" in shown.err


def test_a_project_has_its_own(
    patterns: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = tmp_path / "garments"
    assert run(["new", str(project)]) == 0
    (project / "images").rmdir()
    (project / "images").symlink_to(patterns)
    assert run(["train", str(project), *SMALL]) == 0
    capsys.readouterr()
    (made,) = listed(capsys, "--project", str(project))
    assert made["kind"] == "train"
    assert (project / "models" / f"{made['name']}.onnx").is_file()
    monkeypatch.chdir(project)
    assert [r["name"] for r in listed(capsys)] == [made["name"]]
    assert run(["runs", "list", "--project", str(tmp_path)]) == 1
    assert "is not a project" in capsys.readouterr().err


def test_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "compare", "last~4", "last~3"]) == 0
    out = capsys.readouterr().out
    for word in ("class-average accuracy", "classifier", "svm", "forest", "stripes"):
        assert word in out
    assert "distinguishable" in out
    assert "near_duplicate_bits" not in out  # a setting that is the same
    assert "<svg" in (tmp_path / "comparison.html").read_text()


def test_compare_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "compare", "last~4", "last~3", "--json", "--report", "c.html"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["differing"]["classifier"] == ["svm", "forest"]
    (pair,) = found["comparisons"]
    assert pair["paired"] is True
    a, b = (one["accuracy"] for one in found["runs"])
    assert pair["difference"] == pytest.approx(b - a)
    assert found["report"] == "c.html"
    assert (tmp_path / "c.html").is_file()


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (["last~4"], "at least two different runs"),
        (["last~4", "last~4"], "at least two different runs"),
        (["last~4", "last"], "is failed"),
        (["last~4", "last~1"], "predicted images without testing"),
        (["last~4", "nonsense"], "No run is called ‘nonsense’"),
    ],
)
def test_what_cannot_be_compared(
    runs: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["runs", "compare", *runs]) == 1
    assert said in capsys.readouterr().err
