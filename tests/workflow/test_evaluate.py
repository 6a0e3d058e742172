"""The verb `evaluate`: what it writes."""

from __future__ import annotations

from pathlib import Path

from foveate.predictions import read_predictions
from foveate.settings import Settings
from foveate.workflow.evaluate import evaluate
from foveate.workflow.training import train_classifier

SMALL = Settings(resolution=64)


def test_report_and_predictions_are_written(patterns: Path, tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    train_classifier(patterns, SMALL).save(model)
    run = evaluate(model, patterns, out=tmp_path / "p.csv", report=tmp_path / "r.html")
    assert run.n == 9
    assert len(read_predictions(tmp_path / "p.csv").paths) == 9
    assert "m.onnx" in (tmp_path / "r.html").read_text()
    assert run.to_json()["report"] == str(tmp_path / "r.html")


def test_nothing_is_written_unless_it_is_wanted(patterns: Path, tmp_path: Path) -> None:
    classifier = train_classifier(patterns, SMALL).classifier
    run = evaluate(classifier, patterns, include_training=True)
    assert run.n == 36
    assert run.written is None
    assert list(tmp_path.iterdir()) == []
