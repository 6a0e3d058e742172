"""What is kept of an evaluation."""

from __future__ import annotations

from pathlib import Path

from foveate.settings import Settings
from foveate.workflow.results.evaluation import evaluation_outcome, evaluation_report
from foveate.workflow.scoring import evaluate_source
from foveate.workflow.training import Training


def test_an_evaluation(training: Training, patterns: Path, tmp_path: Path) -> None:
    evaluated = evaluate_source(training.classifier, patterns, Settings())
    details = evaluation_report(evaluated, model="m.onnx", source=str(patterns))
    made = evaluation_outcome(evaluated, details, Settings(), report=None)
    assert made.metrics["accuracy"] == evaluated.evaluation.accuracy.value
    assert made.metrics["trained_on"] == evaluated.trained_on > 0
    assert made.settings["backbone"] == "efficientnet-lite0"
    assert made.settings["resolution"] == "64"
    assert made.settings["model_id"] == training.classifier.id
    made.write_artifacts(tmp_path)
    assert (tmp_path / "report.html").is_file()
