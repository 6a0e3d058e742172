"""The verb `train`: a source becomes an evaluated classifier, with its report and its record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from foveate.evaluation import ReportDetails, write_report
from foveate.files import is_url, write_anywhere
from foveate.finetune.position import is_one_of_many
from foveate.settings import Settings
from foveate.workflow.engine import choose_target, open_engine
from foveate.workflow.places import Destination, find_project
from foveate.workflow.preparation import Progress, stoppable
from foveate.workflow.record import Remark, on_record
from foveate.workflow.results.training import training_json, training_outcome, training_report
from foveate.workflow.training import Training, train_classifier

if TYPE_CHECKING:
    from foveate.history import Outcome


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training, and where it was written.

    Attributes:
        training: everything about it.
        details: what its report tells beside the measures.
        model: path or URL of the classifier; None where it was not written.
        report: path or URL of the report, likewise.
    """

    training: Training
    details: ReportDetails
    model: str | None
    report: str | None

    def to_json(self) -> dict[str, object]:
        """What `foveate train --json` prints."""
        return training_json(self.training, model=self.model, report=self.report)


def train(
    source: str | Path,
    settings: Settings | None = None,
    *,
    destination: Destination | None = None,
    limit: int | None = None,
    sample: float = 1.0,
    engine: str | None = None,
    target: str | None = None,
    progress: Progress | None = None,
    remark: Remark | None = None,
    stop: Event | None = None,
) -> Trained:
    """Train a classifier on a source, evaluate it, and put the run on record.

    Args:
        source: see `catalog.read_source`.
        settings: all parameters; the defaults where None.
        destination: where classifier and report go; nothing is written where None.
        limit: use at most so many files, taken evenly.
        sample: use about this share of the files, in (0, 1], chosen by the seed.
        engine: "local", or "spark" for features and head on a cluster.
        target: name of the cluster, as the project's settings file describes it.
        progress: told how far each stage is.
        remark: told what a person should know of the record.
        stop: ends the training once it is set; the same call goes on from there.

    Raises:
        FoveateError: one of its kinds; see `training.train_classifier`.
        Stopped: `stop` was set.
    """
    settings = settings or Settings()
    cluster = None if is_one_of_many() else choose_target(engine, target, find_project(source))
    known = settings.as_text() | {
        "limit": str(limit),
        "engine": engine,
        "target": target,
        "sample_frac": sample if sample < 1 else None,
    }
    with on_record(
        "train", source, settings, known, label=settings.classifier, remark=remark
    ) as run:
        with open_engine(cluster) as where:
            training = train_classifier(
                source,
                settings,
                limit=limit,
                sample=sample,
                name=run.name,
                engine=where,
                progress=stoppable(progress, stop),
            )
        trained, outcome = _written(training, str(source), destination)
        run.finish(outcome)
    return trained


def _written(
    training: Training, source: str, destination: Destination | None
) -> tuple[Trained, Outcome]:
    """Write classifier and report where they are wanted; what is kept on record of them."""
    model, report = destination.of(training.name) if destination else (None, None)
    here = Path(model) if model is not None and not is_url(model) else None
    details = training_report(training, model=here or Path("model.onnx"), source=source)
    if model is not None and report is not None:
        if here is not None:
            training.save(here)
        else:
            write_anywhere(model, training.classifier.onnx_bytes)
            training.forget_checkpoint()
        write_report(report, training.evaluation, training.predictions, details)
    page = Path(report) if report is not None and not is_url(report) else None
    outcome = training_outcome(training, details, model=here, report=page)
    return Trained(training, details, model, report), outcome
