"""Results as JSON and as what the report tells."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import draw_folder
from foveate.classifier import load_classifier
from foveate.cli import run
from foveate.history import Outcome
from foveate.predictions import read_predictions
from foveate.settings import Settings, make_settings
from foveate.workflow.results.training import (
    train_command,
    training_json,
    training_notes,
    training_outcome,
    training_report,
)
from foveate.workflow.training import Training, train_classifier


@pytest.mark.slow
def test_the_command_in_the_report_trains_the_same(patterns: Path, tmp_path: Path) -> None:
    settings = Settings(resolution=64, c=(0.1, 1.0), class_weight="balanced", seed=3)
    training = train_classifier(patterns, settings)
    command = train_command(str(patterns), tmp_path / "m.onnx", settings)
    assert run([*shlex.split(command)[1:], "--quiet"]) == 0
    assert (tmp_path / "m.onnx").read_bytes() == training.classifier.onnx_bytes


def test_only_what_differs_is_in_the_command() -> None:
    assert train_command("photos", Path("m.onnx"), Settings()) == (
        "foveate train photos --out m.onnx"
    )
    words = shlex.split(train_command("a b", Path("m.onnx"), Settings(exclude=("x y", "z"))))
    (assignment,) = words[words.index("--set") + 1 :]
    assert make_settings(assignments=[assignment]).exclude == ("x y", "z")


def test_refining_again_takes_the_resolution_that_was_chosen() -> None:
    words = shlex.split(train_command("photos", Path("m.onnx"), Settings(classifier="dnn")))
    settings = make_settings(assignments=words[words.index("--set") + 1 :: 2])
    assert settings == Settings(classifier="dnn")
    assert "resolution" in settings.model_fields_set, "else it would be chosen anew"


def test_json_is_plain(patterns: Path) -> None:
    training = train_classifier(patterns, Settings(resolution=64))
    result = training_json(training, model=Path("m.onnx"), report=None)
    assert json.loads(json.dumps(result)) == result
    assert sum(result["seconds"].values()) > 0


def test_notes_say_what_a_reader_must_know(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path, 4)
    data = (folder / "dots" / "0.png").read_bytes()
    (folder / "stripes" / "wrong.png").write_bytes(data)
    (folder / "loose.png").write_bytes((folder / "dots" / "1.png").read_bytes() + b" ")
    training = train_classifier(folder, Settings(resolution=64))
    notes = " ".join(training_notes(training))
    assert "under two labels (dots and stripes)" in notes
    assert "1 images have no label" in notes
    details = training_report(training, model=Path("m.onnx"), source=str(folder))
    assert details.counts["Without a label"] == 1
    assert details.counts["Files"] == 14


def test_a_split_by_land_says_what_one_by_image_would_have_said(tmp_path: Path) -> None:
    """Land where the looks of a label change from place to place: next door is easy to know."""
    source = _land(tmp_path)
    training = train_classifier(source, Settings(resolution=64, block_size=400, block_buffer=100))
    assert training.by_land is not None
    assert training.split.blocks is not None
    assert training.by_land.by_image.value > training.by_land.by_block.value + 0.1
    assert training.by_land.by_block == training.evaluation.accuracy
    assert "blocks" in training.evaluation.accuracy.method
    notes = " ".join(training_notes(training))
    assert "Split by where the images lie: 25 blocks of 400 m a side" in notes
    details = training_report(training, model=Path("m.onnx"), source=str(source))
    assert "Believe the first figure" in details.notes[-1]
    result = training_json(training, model=None, report=None)["blocks"]
    assert isinstance(result, dict)
    assert result["left_out"] == training.split.blocks.near > 0
    assert json.loads(json.dumps(result)) == result
    by_image = train_classifier(source, Settings(resolution=64, split="image"))
    assert by_image.by_land is None
    assert by_image.evaluation.accuracy.value == training.by_land.by_image.value


def _land(folder: Path) -> Path:
    """20 x 20 tiles of one of two labels; each region of 4 x 4 has two looks of its own."""
    rng = np.random.default_rng(0)
    rows = []
    for row in range(20):
        for col in range(20):
            label = int(rng.integers(2))
            looks = np.random.default_rng([row // 4, col // 4]).integers(0, 256, (2, 4, 4, 3))
            small = Image.fromarray(looks[label].astype(np.uint8)).resize((64, 64))
            pixels = np.asarray(small) * 0.8 + rng.normal(20, 6, (64, 64, 3))
            name = f"{row}-{col}.png"
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name)
            rows.append([name, "ab"[label], (col + 0.5) * 100, (row + 0.5) * 100, 100])
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "x", "y", "size"], *rows])
    return folder


@pytest.fixture
def outcome(training: Training, patterns: Path) -> Outcome:
    details = training_report(training, model=Path("m.onnx"), source=str(patterns))
    return training_outcome(training, details, model=None, report=None)


def test_numbers_of_a_training(training: Training, outcome: Outcome) -> None:
    metrics = outcome.metrics
    evaluation = training.evaluation
    assert metrics["accuracy"] == evaluation.accuracy.value
    assert metrics["accuracy.low"] == evaluation.accuracy.low
    assert metrics["class.dots.accuracy"] == evaluation.per_class["dots"].accuracy.value
    assert metrics["class.dots.n"] == evaluation.per_class["dots"].n
    assert metrics["n_test"] + metrics["n_train"] == 36
    assert metrics["seconds.head"] == training.seconds["head"]
    assert outcome.series == {}  # no network was trained
    assert outcome.settings["classifier"] == "svm"
    assert outcome.settings["resolution"] == "64"
    assert set(outcome.settings) == set(Settings.model_fields)


def test_data_is_counted_and_has_a_fingerprint(
    training: Training, outcome: Outcome, patterns: Path
) -> None:
    counts = json.loads(outcome.tags["data.counts"])
    assert {label: sum(by_side.values()) for label, by_side in counts.items()} == {
        "checks": 12, "dots": 12, "stripes": 12,
    }  # fmt: skip
    assert len(outcome.tags["data"]) == 64
    for changed, same in (({}, True), ({"seed": 1}, False), ({"exclude": ("dots",)}, False)):
        again = train_classifier(patterns, Settings(resolution=64, **changed))
        details = training_report(again, model=Path("m.onnx"), source="elsewhere")
        found = training_outcome(again, details, model=None, report=None)
        assert (found.tags["data"] == outcome.tags["data"]) is same


def test_files_of_a_training(training: Training, outcome: Outcome, tmp_path: Path) -> None:
    outcome.write_artifacts(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "report.html", "roc.html", "confusion.html", "predictions.parquet", "result.json",
        "data.json", "model.onnx",
    }  # fmt: skip
    kept = read_predictions(tmp_path / "predictions.parquet")
    assert kept.ids == training.predictions.ids
    assert all(Path(path).is_absolute() and Path(path).is_file() for path in kept.paths)
    assert load_classifier(tmp_path / "model.onnx").labels == training.classifier.labels
    assert json.loads((tmp_path / "result.json").read_text())["run"] == training.name
    assert "<svg" in (tmp_path / "roc.html").read_text()
    assert "<svg" in (tmp_path / "confusion.html").read_text()


def test_a_report_that_is_there_is_taken(
    training: Training, patterns: Path, tmp_path: Path
) -> None:
    report = tmp_path / "mine.html"
    report.write_text("my report")
    details = training_report(training, model=Path("m.onnx"), source=str(patterns))
    made = training_outcome(training, details, model=tmp_path / "m.onnx", report=report)
    folder = tmp_path / "kept"
    folder.mkdir()
    made.write_artifacts(folder)
    assert (folder / "report.html").read_text() == "my report"
    assert made.tags["model"] == str(tmp_path / "m.onnx")
