"""The verb `train`: a source becomes an evaluated classifier, with its report and its record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from foveate.classifier import Classifier
from foveate.errors import SettingsError
from foveate.evaluation import write_report
from foveate.files import is_url, write_anywhere
from foveate.launch.position import is_one_of_many
from foveate.progress import Progress, stoppable
from foveate.settings import Settings
from foveate.workflow.engine import choose_target, open_engine
from foveate.workflow.places import Destination, files_of, find_project, settings_of
from foveate.workflow.record import Remark, on_record
from foveate.workflow.results.evaluation import ReportedEvaluation
from foveate.workflow.results.training import training_json, training_outcome, training_report
from foveate.workflow.training import Training, train_classifier

if TYPE_CHECKING:
    from foveate.history import Outcome


@dataclass(frozen=True, slots=True)
class Run:
    """A finished training, and where it was written.

    Attributes:
        training: everything about it: settings, split, catalog, head, seconds.
        evaluation: on the test images, with what the report shows.
        model: path or URL of the classifier; None where it was not written.
        report: path or URL of the report, likewise.
    """

    training: Training
    evaluation: ReportedEvaluation
    model: str | None
    report: str | None

    @property
    def name(self) -> str:
        """Of the run, for history and reports."""
        return self.training.name

    @property
    def classifier(self) -> Classifier:
        """Ready to predict."""
        return self.training.classifier

    def save(self, path: str | Path) -> None:
        """Write the classifier, one ONNX file."""
        self.training.save(path)

    def to_json(self) -> dict[str, object]:
        """What `foveate train --json` prints."""
        return training_json(self.training, model=self.model, report=self.report)


def train(
    source: str | Path,
    settings: Settings | None = None,
    *,
    out: str | Path | None = None,
    report: str | Path | None = None,
    write: bool = False,
    limit: int | None = None,
    sample: float = 1.0,
    engine: str | None = None,
    target: str | None = None,
    progress: Progress | None = None,
    remark: Remark | None = None,
    stop: Event | None = None,
    **changes: object,
) -> Run:
    """Train a classifier on a source and evaluate it; the run goes on record.

    Args:
        source: a project, a folder with one subfolder per label, or a table; see
            `catalog.read_source`.
        settings: all of them; those of the project, or the defaults, where None.
        out: where the classifier goes, a path or URL; nothing is written where None.
        report: where the report goes; beside the classifier where None.
        write: whether both go to their usual place where none is named.
        limit: use at most so many files, taken evenly.
        sample: use about this share of the files, in (0, 1], chosen by the seed.
        engine: "local", or "spark" for features and head on a cluster.
        target: name of the cluster, as the project's settings file describes it.
        progress: called with stage, images done, of how many, and perhaps a note.
        remark: told, in a sentence, what a person should know of the record.
        stop: ends the verb once it is set, from any thread; the same call goes on from there.
        changes: any field of `Settings` instead: `classifier="svm"`, `resolution=448`, …

    Raises:
        FoveateError: one of its kinds, with a sentence that says what to do; see
            `training.train_classifier`.
        Stopped: `stop` was set.
    """
    settings, project = settings_of(source, settings, changes), find_project(source)
    destination = None
    if write or out is not None or report is not None:
        destination = Destination(out, report, project)
        destination.check([*files_of(source), settings.test_list])
    cluster = None if is_one_of_many() else choose_target(engine, target, project)
    if cluster is not None and settings.refines:
        raise SettingsError(
            "A network is refined on a cluster by the command, foveate refine --target; without a "
            "target it is refined on this machine."
        )
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
        done, outcome = _written(training, str(source), destination)
        run.finish(outcome)
    return done


def _written(
    training: Training, source: str, destination: Destination | None
) -> tuple[Run, Outcome]:
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
    evaluation = ReportedEvaluation(training.evaluation, training.predictions, details)
    return Run(training, evaluation, model, report), outcome
