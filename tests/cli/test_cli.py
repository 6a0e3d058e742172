"""The command line as a person and as a program meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from conftest import draw_folder
from foveate.classifier import load_classifier
from foveate.cli import run
from foveate.errors import SourceError
from foveate.files import read_bytes
from foveate.predictions import read_predictions

SMALL = ("--resolution", "64")


@pytest.fixture
def model(patterns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "model" / "m.onnx"
    assert run(["train", str(patterns), "--out", str(path), *SMALL]) == 0
    capsys.readouterr()
    return path


def run_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, object]:
    """Run a command with --json: exactly one object on stdout."""
    assert run([*map(str, arguments), "--json"]) == 0
    out = capsys.readouterr().out
    assert len(out.strip().splitlines()) == 1
    result = json.loads(out)
    assert isinstance(result, dict)
    return result


def test_train_prints_the_table(
    patterns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", str(patterns), "--out", str(tmp_path / "m.onnx"), *SMALL]) == 0
    out = capsys.readouterr().out
    assert "95 % interval" in out
    for line in ("checks", "dots", "stripes", "class average", "all images"):
        assert line in out
    assert (tmp_path / "m.onnx").is_file()
    assert "<html" in (tmp_path / "m.html").read_text()


def test_train_json_keeps_the_contract(
    patterns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run_json(capsys, "train", patterns, "--out", tmp_path / "m.onnx", *SMALL)
    promised = [
        "model",
        "report",
        "run",
        "backbone",
        "resolution",
        "classifier",
        "c",
        "n_train",
        "n_test",
        "accuracy",
        "accuracy_ci95",
        "class_average_accuracy",
        "per_class",
        "quarantined",
        "images_per_second",
        "seconds",
    ]
    assert set(promised) <= set(result)
    assert result["n_train"] + result["n_test"] + result["quarantined"] == 36
    assert result["accuracy_ci95"][0] <= result["accuracy"] <= result["accuracy_ci95"][1]
    assert set(result["per_class"]["dots"]) >= {"accuracy", "auc", "n"}
    assert result["images_per_second"] > 0
    assert Path(result["report"]).is_file()


def test_evaluate_agrees_with_train(
    patterns: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    trained = run_json(capsys, "train", patterns, "--out", tmp_path / "m.onnx", *SMALL)
    out = tmp_path / "p.csv"
    found = run_json(capsys, "evaluate", tmp_path / "m.onnx", patterns, "--out", out)
    for measure in ("accuracy", "accuracy_ci95", "class_average_accuracy", "per_class", "n_test"):
        assert found[measure] == trained[measure]
    assert found["trained_on"] == 27
    assert len(out.read_text().splitlines()) == 1 + 9


def test_predict(model: Path, patterns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = patterns / "dots" / "0.png"
    assert run(["predict", str(model), str(image)]) == 0
    assert "dots" in capsys.readouterr().out
    result = run_json(capsys, "predict", model, patterns / "dots", patterns / "ch*" / "1.png")
    labels = [one["label"] for one in result["predictions"]]
    assert len(labels) == 13
    assert labels.count("dots") >= 11
    assert set(result["predictions"][0]) == {"path", "label", "probability", "probabilities"}


def test_predict_names_a_bad_image_and_goes_on(
    model: Path, patterns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("no image")
    result = run_json(capsys, "predict", model, bad, patterns / "dots" / "0.png")
    assert result["predictions"][0]["path"] == str(bad)
    assert "unsupported" in result["predictions"][0]["error"]
    assert "label" in result["predictions"][1]
    assert run(["predict", str(model), str(bad)]) == 1


def test_predict_from_standard_input(model: Path, patterns: Path) -> None:
    image = (patterns / "stripes" / "0.png").read_bytes()
    command = [sys.executable, "-m", "foveate", "predict", str(model), "-", "--json"]
    done = subprocess.run(command, input=image, capture_output=True, check=True)
    assert json.loads(done.stdout)["predictions"][0]["label"] == "stripes"


def test_score(
    model: Path, patterns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores.parquet"
    result = run_json(capsys, "score", model, patterns, "--out", out)
    assert result["images"] == 36
    assert {"quarantined", "images_per_second", "seconds", "out"} <= set(result)
    table = pq.read_table(out)
    assert table.column_names[:4] == ["path", "label", "predicted", "probability"]
    assert {"p:checks", "p:dots", "p:stripes", "error"} <= set(table.column_names)
    assert table.num_rows == 36


def test_featurize(patterns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "features.parquet"
    result = run_json(capsys, "featurize", patterns, "--out", out, *SMALL)
    assert result["images"] == 36
    table = pq.read_table(out)
    assert table.column_names == ["id", "path", "label", "features"]
    assert table.schema.field("features").type.list_size == 1280


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = draw_folder(tmp_path / "s", 3)
    (folder / "dots" / "bad.jpg").write_text("no image")
    same = (folder / "dots" / "0.png").read_bytes()
    (folder / "stripes" / "same.png").write_bytes(same)
    result = run_json(capsys, "check", folder)
    assert [row["reason"] for row in result["refused"]] == ["unsupported"]
    assert len(result["contradictory"]) == 1
    assert len(result["duplicates"]) >= 1
    assert run(["check", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "bad.jpg" in out
    assert "1 the same image under two labels" in out


def test_split(patterns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "split.csv"
    result = run_json(capsys, "split", patterns, "--out", out, "--test-share", "0.5")
    assert result["labels"]["dots"] == {"train": 6, "test": 6}
    trained = run_json(capsys, "train", out, "--out", tmp_path / "m.onnx", "--seed", "3", *SMALL)
    assert trained["n_test"] == 18  # a table with a split column brings its split


def test_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = tmp_path / "project"
    assert run(["new", str(project)]) == 0
    assert run(["new", str(project)]) == 1
    draw_folder(project / "images", 4)
    settings = project / "foveate.toml"
    assert "# pixels a side" in settings.read_text()
    settings.write_text(settings.read_text().replace("#resolution = 224", "resolution = 64"))
    capsys.readouterr()
    result = run_json(capsys, "train", project)
    assert result["resolution"] == 64
    assert Path(result["model"]).parent == project / "models"
    assert Path(result["report"]).parent == project / "reports"
    assert (project / ".foveate" / "catalog.parquet").is_file()


def test_settings_by_flag_and_by_set(
    patterns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "m.onnx"
    result = run_json(
        capsys,
        "train",
        patterns,
        "--out",
        out,
        "--set",
        "resolution=64",
        "--set",
        "c=[1.0]",
        "--classifier",
        "logistic",
        "--exclude",
        "dots",
    )
    assert (result["resolution"], result["c"], result["classifier"]) == (64, 1.0, "logistic")
    assert result["labels"] == ["checks", "stripes"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--device", "cuda"), "Note: --device only matters to refine a network"),
        (("--depth", "head", "--epochs", "3"), "Note: --depth and --epochs only matter to"),
        (("--device", "cuda", "--quiet"), ""),
        ((), ""),
    ],
)
def test_flags_of_refining_do_nothing_else_and_it_says_so(
    flags: tuple[str, ...],
    said: str,
    patterns: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise SourceError("far enough")

    monkeypatch.setattr("foveate.workflow.train.train_classifier", stop)
    run(["train", str(patterns), "--out", str(tmp_path / "m.onnx"), *flags])
    assert capsys.readouterr().err.startswith(said or "Error: far enough")


def test_backbones_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["backbones", "list"]) == 0
    assert "efficientnet-lite0" in capsys.readouterr().out
    assert run_json(capsys, "backbones", "list")["backbones"][0]["dimension"] == 1280


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "nowhere"],
        ["train", "."],
        ["evaluate", "none.onnx", "."],
        ["predict", "none.onnx", "x.jpg"],
        ["score", "none.onnx", ".", "--out", "x.txt"],
        ["featurize", ".", "--out", "x.csv"],
        ["train", ".", "--set", "nonsense=1"],
        ["train", ".", "--set", "nonsense"],
        ["train", ".", "--resolution", "3"],
        ["train", ".", "--classifier", "cnn"],
        ["train", ".", "--backbone", "resnet9000"],
        ["train", ".", "--test-share", "1.5"],
    ],
)
def test_failures_are_one_sentence(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([*arguments, "--json"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("Error: ")
    assert "defect" not in captured.err
    assert "Traceback" not in captured.err
    assert json.loads(captured.out)["error"] in captured.err


@pytest.mark.parametrize("arguments", [["train"], ["nonsense"], ["train", ".", "--nonsense"]])
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_defects_show_no_traceback_without_debug(
    patterns: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr("foveate.workflow.train.train_classifier", explode)
    assert run(["train", str(patterns)]) == 1
    err = capsys.readouterr().err
    assert "defect of foveate" in err
    assert "boom" in err
    assert "Traceback" not in err
    with pytest.raises(ZeroDivisionError):
        run(["train", str(patterns), "--debug"])


def test_result_that_cannot_be_written_is_said_before_the_work(
    patterns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert run(["train", str(patterns), "--out", str(tmp_path / "file" / "m.onnx")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("foveate ")
    for command in ("train", "evaluate", "predict", "score", "featurize", "check", "split"):
        assert run([command, "--help"]) == 0
        assert "--json" in capsys.readouterr().out


def test_a_closed_pipe_is_no_error(model: Path, patterns: Path) -> None:
    command = f"'{sys.executable}' -m foveate predict '{model}' '{patterns}' | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stderr == ""


def test_names_that_are_not_unicode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = draw_folder(tmp_path / "s", 3)
    (folder / "dots" / "0.png").rename(os.fsdecode(os.fsencode(folder) + b"/dots/\xff.png"))
    result = run_json(capsys, "train", folder, "--out", tmp_path / "m.onnx", *SMALL)
    assert result["files"] == 9
    assert result["quarantined"] == 0


def test_a_classifier_and_its_report_go_to_a_store(
    patterns: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", str(patterns), "--resolution", "64", "--json", "--quiet"]
    assert run([*words, "--out", "memory://there/m.onnx"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["model"] == "memory://there/m.onnx"
    assert result["report"] == "memory://there/m.html"
    assert load_classifier("memory://there/m.onnx").labels == tuple(sorted(result["per_class"]))
    assert b"<html" in read_bytes("memory://there/m.html")
    out = "memory://there/p.parquet"
    assert run(["score", "memory://there/m.onnx", str(patterns), "--out", out, "--quiet"]) == 0
    assert len(read_predictions(out).paths) == len(list(patterns.rglob("*.png")))
    assert run(["featurize", str(patterns), "--out", "memory://there/f.parquet"]) == 1
    assert "foveate copy" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_sample_is_a_share(
    patterns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for share in ("0", "1.5"):
        words = ["featurize", str(patterns), "--out", str(tmp_path / "f.parquet")]
        assert run([*words, "--sample-frac", share]) == 1
        assert "above 0 and at most 1" in capsys.readouterr().err
