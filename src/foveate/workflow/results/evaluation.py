"""An evaluation as others want it: JSON for programs, a report for people, a record for later."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from foveate.evaluation import Evaluation, ReportDetails, write_report
from foveate.history import Outcome
from foveate.predictions import Predictions
from foveate.settings import Settings
from foveate.workflow.results.measures import (
    data_json,
    fingerprint,
    if_any,
    measured,
    quarantined,
    rounded,
    settings_of_model,
    write_evaluation,
    write_json,
)
from foveate.workflow.scoring import Evaluated


@dataclass(frozen=True, slots=True)
class ReportedEvaluation:
    """An evaluation together with what its report shows.

    Attributes:
        measures: every measure with its interval.
        predictions: on the test images.
        details: what the report tells beside the measures.
    """

    measures: Evaluation
    predictions: Predictions
    details: ReportDetails

    @property
    def accuracy(self) -> float:
        """Share of test images whose label was predicted, in [0, 1]."""
        return self.measures.accuracy.value

    @property
    def accuracy_ci95(self) -> tuple[float, float]:
        """Its 95 % Wilson interval."""
        return self.measures.accuracy.low, self.measures.accuracy.high

    @property
    def class_average_accuracy(self) -> float:
        """Unweighted mean of the labels' accuracies, in [0, 1]."""
        return self.measures.class_average_accuracy.value

    @property
    def n(self) -> int:
        """The number of images evaluated on."""
        return self.measures.n

    def report(self, path: str | Path = "report.html") -> Path:
        """Write the HTML report, one self-contained page.

        Returns:
            Where it is.
        """
        write_report(path, self.measures, self.predictions, self.details)
        return Path(path)


def evaluation_json(evaluated: Evaluated, *, report: Path | None) -> dict[str, object]:
    """What `foveate evaluate --json` prints."""
    metadata = evaluated.classifier.metadata
    return {
        "report": str(report) if report else None,
        "backbone": metadata.backbone.name,
        "resolution": metadata.resolution,
        "classifier": metadata.training.classifier,
        "c": metadata.training.c,
        **evaluated.evaluation.to_json(),
        "trained_on": evaluated.trained_on,
        **data_json(evaluated.prepared),
        "seconds": rounded(evaluated.seconds),
    }


def evaluation_report(evaluated: Evaluated, *, model: str, source: str) -> ReportDetails:
    """What the report of an evaluation tells beside the measures."""
    notes = []
    if evaluated.trained_on:
        notes.append(
            f"{evaluated.trained_on} images were left out: the classifier was trained on them or "
            "on near duplicates of them."
        )
    return ReportDetails(
        title=f"{Path(source).name or source}: {Path(model).name}",
        settings=evaluated.classifier.metadata.training.model_dump(mode="json"),
        model=Path(model).name,
        backbone=evaluated.classifier.metadata.backbone.model_dump(),
        reproduce=f"foveate evaluate {shlex.quote(model)} {shlex.quote(source)}",
        quarantined=quarantined(evaluated.prepared),
        seconds=evaluated.seconds,
        counts={
            "Files": len(evaluated.prepared.catalog.rows),
            "Tested on": evaluated.evaluation.n,
            **if_any("Trained on, left out", evaluated.trained_on),
        },
        notes=notes,
    )


def evaluation_outcome(
    evaluated: Evaluated, details: ReportDetails, settings: Settings, *, report: Path | None
) -> Outcome:
    """What is kept of an evaluation; see `results.training.training_outcome`."""
    evaluation, predictions = evaluated.evaluation, evaluated.predictions
    result = evaluation_json(evaluated, report=report)

    def write(folder: Path) -> None:
        write_evaluation(folder, evaluation, predictions, details, report)
        write_json(folder / "result.json", result)

    rows = zip(predictions.ids or predictions.paths, predictions.known, strict=True)
    return Outcome(
        metrics=measured(evaluation, evaluated.seconds) | {"trained_on": evaluated.trained_on},
        series={},
        settings=settings_of_model(evaluated.classifier, settings),
        tags={
            "data": fingerprint((image, label, "test") for image, label in rows),
            "reproduce": details.reproduce,
        },
        write_artifacts=write,
    )
