"""What is kept of a training, an evaluation and a scoring."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foveate.classifier import load_classifier
from foveate.history import Outcome
from foveate.predictions import read_predictions
from foveate.settings import Settings
from foveate.tuning import tune
from foveate.workflow import pipeline
from foveate.workflow.outcomes import (
    evaluation_outcome,
    metric_names,
    score_outcome,
    training_outcome,
    tuning_outcome,
)
from foveate.workflow.results import evaluation_report, training_report


@pytest.fixture(scope="module")
def training(patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> pipeline.Training:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return pipeline.train(patterns, Settings(resolution=64))


@pytest.fixture
def outcome(training: pipeline.Training, patterns: Path) -> Outcome:
    details = training_report(training, model=Path("m.onnx"), source=str(patterns))
    return training_outcome(training, details, model=None, report=None)


def test_numbers_of_a_training(training: pipeline.Training, outcome: Outcome) -> None:
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
    training: pipeline.Training, outcome: Outcome, patterns: Path
) -> None:
    counts = json.loads(outcome.tags["data.counts"])
    assert {label: sum(by_side.values()) for label, by_side in counts.items()} == {
        "checks": 12, "dots": 12, "stripes": 12,
    }  # fmt: skip
    assert len(outcome.tags["data"]) == 64
    for changed, same in (({}, True), ({"seed": 1}, False), ({"exclude": ("dots",)}, False)):
        again = pipeline.train(patterns, Settings(resolution=64, **changed))
        details = training_report(again, model=Path("m.onnx"), source="elsewhere")
        found = training_outcome(again, details, model=None, report=None)
        assert (found.tags["data"] == outcome.tags["data"]) is same


def test_files_of_a_training(training: pipeline.Training, outcome: Outcome, tmp_path: Path) -> None:
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
    training: pipeline.Training, patterns: Path, tmp_path: Path
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


def test_an_evaluation(training: pipeline.Training, patterns: Path, tmp_path: Path) -> None:
    scoring = pipeline.evaluate(training.classifier, patterns, Settings())
    details = evaluation_report(scoring, model="m.onnx", source=str(patterns))
    made = evaluation_outcome(scoring, details, Settings(), report=None)
    assert scoring.evaluation is not None
    assert made.metrics["accuracy"] == scoring.evaluation.accuracy.value
    assert made.metrics["trained_on"] == scoring.trained_on > 0
    assert made.settings["backbone"] == "efficientnet-lite0"
    assert made.settings["resolution"] == "64"
    assert made.settings["model_id"] == training.classifier.id
    made.write_artifacts(tmp_path)
    assert (tmp_path / "report.html").is_file()
    scored = pipeline.score(training.classifier, patterns, Settings())
    with pytest.raises(ValueError, match="nothing was evaluated"):
        evaluation_outcome(scored, details, Settings(), report=None)


def test_a_scoring(
    training: pipeline.Training,
    patterns: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scoring = pipeline.score(training.classifier, patterns, Settings())
    made = score_outcome(scoring, Settings(), out=tmp_path / "p.parquet")
    assert made.metrics["images"] == 36
    predicted = sum(value for name, value in made.metrics.items() if name.startswith("predicted."))
    assert predicted == 36
    assert 1 / 3 < made.metrics["mean_confidence"] <= 1
    made.write_artifacts(tmp_path)
    assert len(read_predictions(tmp_path / "predictions.parquet").paths) == 36
    monkeypatch.setattr("foveate.workflow.outcomes.MOST_ROWS", 10)
    folder = tmp_path / "large"
    folder.mkdir()
    made.write_artifacts(folder)
    assert [path.name for path in folder.iterdir()] == ["result.json"]


def test_labels_in_names_of_metrics() -> None:
    labels = ["a/b", "a:b", "été", "a" * 300, "..", " ", "ok/"]
    found = metric_names(labels)
    assert list(found) == labels
    assert len(set(found.values())) == len(labels)
    assert (found["a/b"], found["a:b"], found["été"]) == ("a_b", "a_b 2", "été")
    assert all(0 < len(name) <= 155 and "/" not in name for name in found.values())


def test_a_tuning(patterns: Path, tmp_path: Path) -> None:
    settings = Settings(c=(1.0,))
    tuning = tune(patterns, settings, resolutions=(64,), classifiers=("svm",))
    made = tuning_outcome(tuning, report=None)
    assert made.metrics["accuracy"] == tuning.evaluation.accuracy.value
    assert (made.metrics["candidates"], made.metrics["tried"]) == (1, 1)
    assert made.settings["resolution"] == "64"
    assert made.tags["reproduce"] == tuning.command()
    made.write_artifacts(tmp_path)
    assert "<html" in (tmp_path / "tune.html").read_text()
    assert json.loads((tmp_path / "tune.json").read_text())["command"] == tuning.command()
    assert (tmp_path / "model.onnx").is_file()
