"""The verb `evaluate`: how good a classifier is on images that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Event

from foveate.classifier import Classifier
from foveate.predictions import write_predictions
from foveate.progress import Progress, stoppable
from foveate.settings import Settings
from foveate.workflow.places import settings_of
from foveate.workflow.record import Remark, on_record
from foveate.workflow.results.evaluation import (
    ReportedEvaluation,
    evaluation_json,
    evaluation_outcome,
    evaluation_report,
)
from foveate.workflow.scoring import Evaluated, evaluate_source, named_classifier


@dataclass(frozen=True, slots=True)
class EvaluationRun(ReportedEvaluation):
    """A finished evaluation.

    Attributes:
        evaluated: everything about it.
        written: the report's file; None where it was not written.
    """

    evaluated: Evaluated
    written: Path | None

    def to_json(self) -> dict[str, object]:
        """What `foveate evaluate --json` prints."""
        return evaluation_json(self.evaluated, report=self.written)


def evaluate(
    classifier: Classifier | str | Path,
    source: str | Path,
    settings: Settings | None = None,
    *,
    include_training: bool = False,
    out: str | Path | None = None,
    report: str | Path | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
    remark: Remark | None = None,
    stop: Event | None = None,
    **changes: object,
) -> EvaluationRun:
    """Evaluate a classifier on the labelled images of a source that it was not trained on.

    The run goes on record. `settings`, `progress`, `remark`, `stop` and `changes` are those of
    `train`; the model file decides most settings, the others say how images are read.

    Args:
        classifier: loaded, or the path or URL of its file.
        source: see `catalog.read_source`.
        settings: see above.
        include_training: evaluate on images that it was trained on, too.
        out: where the predictions go, `.parquet` or `.csv`; nowhere where None.
        report: where the report goes; nowhere where None.
        limit: use at most so many files, taken evenly.
        progress: see above.
        remark: see above.
        stop: see above.
        changes: see above.

    Raises:
        FoveateError: one of its kinds; see `scoring.evaluate_source`.
        Stopped: `stop` was set.
    """
    settings = settings_of(source, settings, changes)
    classifier, name = named_classifier(classifier, settings)
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
        details = evaluation_report(evaluated, model=name, source=str(source))
        written = None if report is None else Path(report)
        done = EvaluationRun(
            evaluated.evaluation, evaluated.predictions, details, evaluated, written
        )
        if written is not None:
            done.report(written)
        if out is not None:
            write_predictions(evaluated.predictions, out)
        run.finish(evaluation_outcome(evaluated, details, settings, report=written))
    return done
