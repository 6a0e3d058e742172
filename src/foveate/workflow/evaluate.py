"""The verb `evaluate`: how good a classifier is on images that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Event

from foveate.classifier import Classifier
from foveate.evaluation import ReportDetails, write_report
from foveate.predictions import write_predictions
from foveate.settings import Settings
from foveate.workflow.preparation import Progress, stoppable
from foveate.workflow.record import Remark, on_record
from foveate.workflow.results.evaluation import (
    evaluation_json,
    evaluation_outcome,
    evaluation_report,
)
from foveate.workflow.scoring import Evaluated, evaluate_source


@dataclass(frozen=True, slots=True)
class EvaluationRun:
    """A finished evaluation, and where it was written.

    Attributes:
        evaluated: everything about it.
        details: what its report tells beside the measures.
        report: the report's file; None where it was not written.
    """

    evaluated: Evaluated
    details: ReportDetails
    report: Path | None

    def to_json(self) -> dict[str, object]:
        """What `foveate evaluate --json` prints."""
        return evaluation_json(self.evaluated, report=self.report)


def evaluate(
    classifier: Classifier,
    source: str | Path,
    settings: Settings | None = None,
    *,
    name: str | Path = "model.onnx",
    include_training: bool = False,
    out: str | Path | None = None,
    report: str | Path | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
    remark: Remark | None = None,
    stop: Event | None = None,
) -> EvaluationRun:
    """Evaluate a classifier on the labelled images of a source, and put the run on record.

    Args:
        classifier: the classifier.
        source: see `catalog.read_source`.
        settings: those that concern reading and running; the model file decides the rest.
        name: what the classifier is called in the report: its file.
        include_training: also evaluate on images that it was trained on.
        out: where the predictions go, `.parquet` or `.csv`; nowhere where None.
        report: where the report goes; nowhere where None.
        limit: use at most so many files, taken evenly.
        progress: told how far each stage is.
        remark: told what a person should know of the record.
        stop: ends the evaluation once it is set; the same call goes on from there.

    Raises:
        FoveateError: one of its kinds; see `scoring.evaluate_source`.
        Stopped: `stop` was set.
    """
    settings = settings or Settings()
    known = {"model": name, "include_training": include_training, "limit": str(limit)}
    with on_record("evaluate", source, settings, known, remark=remark) as run:
        evaluated = evaluate_source(
            classifier,
            source,
            settings,
            include_training=include_training,
            limit=limit,
            progress=stoppable(progress, stop),
        )
        details = evaluation_report(evaluated, model=str(name), source=str(source))
        page = None if report is None else Path(report)
        if page is not None:
            write_report(page, evaluated.evaluation, evaluated.predictions, details)
        if out is not None:
            write_predictions(evaluated.predictions, out)
        run.finish(evaluation_outcome(evaluated, details, settings, report=page))
    return EvaluationRun(evaluated, details, page)
