"""What is kept of a scoring."""

from __future__ import annotations

from pathlib import Path

import pytest

from foveate.predictions import read_predictions
from foveate.settings import Settings
from foveate.workflow.results.bulk import BulkResult, ClusterUse, score_outcome
from foveate.workflow.score import score
from foveate.workflow.training import Training


def test_a_scoring(
    training: Training,
    patterns: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = score(training.classifier, patterns, out=tmp_path / "p.parquet")
    made = score_outcome(result, training.classifier, Settings())
    assert made.tags["out"] == str(tmp_path / "p.parquet")
    assert made.metrics["images"] == 36
    predicted = sum(value for name, value in made.metrics.items() if name.startswith("predicted."))
    assert predicted == 36
    assert 1 / 3 < made.metrics["mean_confidence"] <= 1
    made.write_artifacts(tmp_path)
    assert len(read_predictions(tmp_path / "predictions.parquet").paths) == 36
    monkeypatch.setattr("foveate.workflow.results.bulk.MOST_ROWS", 10)
    folder = tmp_path / "large"
    folder.mkdir()
    made.write_artifacts(folder)
    assert [path.name for path in folder.iterdir()] == ["result.json"]


def test_json_here_and_from_a_cluster() -> None:
    here = BulkResult("p.csv", 9, 2, (), {"a": 7}, 0.9, 5, 12.34, {"score": 0.12345}, unlabelled=1)
    assert here.to_json() == {
        "images": 7, "files": 9, "quarantined": 2, "images_computed": 5,
        "images_per_second": 12.3, "seconds": {"score": 0.123}, "out": "p.csv", "unlabelled": 1,
    }  # fmt: skip
    use = ClusterUse(("float32",), 3 * 2**20)
    there = BulkResult("p", 9, 2, (), {"a": 7}, 0.9, 0, None, {}, cluster=use)
    assert there.to_json() == {
        "images": 7, "files": 9, "quarantined": 2, "images_computed": 0,
        "images_per_second": None, "seconds": {}, "out": "p", "predicted": {"a": 7},
        "precision": ["float32"], "worker_megabytes": 3,
    }  # fmt: skip
