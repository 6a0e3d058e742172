"""A search for settings as its record; its JSON and its page are in `foveate.tuning`."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from foveate.history import Outcome
from foveate.workflow.results.measures import seconds_by_stage, write_json
from foveate.workflow.results.training import training_outcome, training_report

if TYPE_CHECKING:
    from foveate.tuning import Tuning


def tuning_outcome(tuning: Tuning, *, report: Path | None) -> Outcome:
    """What is kept of a search: the training of the chosen setting, and the search's own page."""
    training = tuning.training
    details = training_report(training, model=Path("model.onnx"), source=tuning.source)
    of_training = training_outcome(training, details, model=None, report=None)
    result = tuning.to_json()

    def write(folder: Path) -> None:
        of_training.write_artifacts(folder)
        write_json(folder / "tune.json", result)
        if report is not None and report.is_file():
            shutil.copyfile(report, folder / "tune.html")
        else:
            tuning.report(folder / "tune.html")

    counted = {"candidates": len(tuning.candidates), "tried": len(tuning.tried)}
    return replace(
        of_training,
        metrics={**of_training.metrics, **counted, **seconds_by_stage(tuning.seconds)},
        tags={**of_training.tags, "reproduce": tuning.command()},
        write_artifacts=write,
    )
