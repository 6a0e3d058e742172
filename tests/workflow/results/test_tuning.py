"""What is kept of a search."""

from __future__ import annotations

import json
from pathlib import Path

from foveate.settings import Settings
from foveate.tuning import tune
from foveate.workflow.results.tuning import tuning_outcome


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
