"""The Python interface: the verbs with their settings as keyword arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from foveate.classifier import Classifier, load_classifier
from foveate.evaluation import Evaluation, ReportDetails, write_report
from foveate.history import RecordedRun, find_place, list_runs
from foveate.predictions import Predictions
from foveate.settings import make_settings
from foveate.workflow.places import Destination, files_of, find_project

if TYPE_CHECKING:
    from foveate.catalog import Findings
    from foveate.tuning import Tuning
    from foveate.workflow.preparation import Progress
    from foveate.workflow.results.bulk import BulkResult
    from foveate.workflow.split import SplitSource
    from foveate.workflow.train import Trained
    from foveate.workflow.training import Training


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


@dataclass(frozen=True, slots=True)
class Run:
    """A finished training.

    Attributes:
        name: of the run.
        classifier: ready to predict.
        evaluation: on the test images.
        trained: where it was written.
    """

    name: str
    classifier: Classifier
    evaluation: ReportedEvaluation
    trained: Trained

    @property
    def training(self) -> Training:
        """Everything else: settings, split, catalog, head, seconds."""
        return self.trained.training

    def save(self, path: str | Path) -> None:
        """Write the classifier, one ONNX file."""
        self.training.save(path)

    def to_json(self) -> dict[str, object]:
        """What `foveate train --json` prints."""
        return self.trained.to_json()


@dataclass(frozen=True, slots=True)
class Features:
    """Features of n images.

    Attributes:
        ids: SHA-256 of each image's bytes.
        paths: of each image.
        labels: of each image, None where it has none.
        values: (n, d) float32.
    """

    ids: tuple[str, ...]
    paths: tuple[str, ...]
    labels: tuple[str | None, ...]
    values: NDArray[np.float32]


def train(
    source: str | Path,
    *,
    out: str | Path | None = None,
    report: str | Path | None = None,
    limit: int | None = None,
    sample: float = 1.0,
    engine: str | None = None,
    target: str | None = None,
    progress: Progress | None = None,
    stop: Event | None = None,
    **settings: object,
) -> Run:
    """Train a classifier on a source and evaluate it.

    Args:
        source: a project, a folder with one subfolder per label, or a table.
        out: where the classifier goes, a path or URL; nothing is written where None.
        report: where the report goes; beside the classifier where None.
        limit: use at most so many images.
        sample: use about this share of the images, in (0, 1], chosen by the seed.
        engine: "local", or "spark" for features and head on a cluster.
        target: name of the cluster, as the project's settings file describes it.
        progress: called with stage, images done, of how many, and perhaps a note.
        stop: ends the training once it is set, from any thread; `foveate.Stopped` is raised, and
            the same call goes on from there.
        settings: any field of `foveate.Settings`: `classifier="svm"`, `resolution=448`, …

    Raises:
        FoveateError: one of its kinds, with a sentence that says what to do.
    """
    from foveate.workflow.train import train as train_verb

    project = find_project(source)
    destination = None if out is None and report is None else Destination(out, report, project)
    made = make_settings(project, flags=settings)
    if destination is not None:
        destination.check([*files_of(source), made.test_list or None])
    trained = train_verb(
        source,
        made,
        destination=destination,
        limit=limit,
        sample=sample,
        engine=engine,
        target=target,
        progress=progress,
        stop=stop,
    )
    training = trained.training
    evaluation = ReportedEvaluation(training.evaluation, training.predictions, trained.details)
    return Run(training.name, training.classifier, evaluation, trained)


def refine(source: str | Path, **options: Any) -> Run:
    """Train a classifier by refining the network itself, not only a head on its features.

    The same as `train` with `classifier="dnn"`; `classifier="svm-dnn"` puts a linear SVM on the
    refined features.

    Args:
        source: a project, a folder with one subfolder per label, or a table.
        options: those of `train`: `out="model.onnx"`, `backbone="resnet18"`, `depth="head"`, …

    Raises:
        FoveateError: one of its kinds, with a sentence that says what to do.
    """
    return train(source, **{"classifier": "dnn", **options})


def tune(
    source: str | Path,
    *,
    minutes: float = 10.0,
    backbones: Sequence[str] = (),
    resolutions: Sequence[int] = (),
    classifiers: Sequence[str] = (),
    limit: int | None = None,
    report: str | Path | None = None,
    progress: Progress | None = None,
    stop: Event | None = None,
    **settings: object,
) -> Tuning:
    """Find the backbone, the resolution and the head that suit the images of a source.

    Args:
        source: a project, a folder with one subfolder per label, or a table.
        minutes: what it may take; the same call goes on where one that was stopped ended.
        backbones: names of those to try; all that are here, where none is named.
        resolutions: pixels a side to try; 224, 320, 448 and 896 as far as the images have the
            detail, where none is named.
        classifiers: heads to try; svm, logistic and forest where none is named.
        limit: use at most so many images.
        report: where the page with the figures goes; nowhere where None.
        progress: as of `train`.
        stop: as of `train`.
        settings: any other field of `foveate.Settings`.

    Raises:
        FoveateError: one of its kinds, with a sentence that says what to do.
    """
    from foveate.workflow.tune import tune as tune_verb

    made = make_settings(find_project(source), flags=settings)
    run = tune_verb(
        source,
        made,
        minutes=minutes,
        backbones=backbones,
        resolutions=resolutions,
        classifiers=classifiers,
        limit=limit,
        report=report,
        progress=progress,
        stop=stop,
    )
    return run.tuning


def evaluate(
    classifier: Classifier | str | Path,
    source: str | Path,
    *,
    include_training: bool = False,
    out: str | Path | None = None,
    report: str | Path | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
    stop: Event | None = None,
    **settings: object,
) -> ReportedEvaluation:
    """Evaluate a classifier on the labelled images of a source that it was not trained on.

    Args:
        classifier: loaded, or the path or URL of its file.
        source: a project, a folder with one subfolder per label, or a table.
        include_training: also on images that it was trained on.
        out: where the predictions go, `.parquet` or `.csv`; nowhere where None.
        report: where the report goes; nowhere where None.
        limit: use at most so many images.
        progress: as of `train`.
        stop: as of `train`.
        settings: any field of `foveate.Settings` that concerns reading and running.

    Raises:
        FoveateError: one of its kinds, with a sentence that says what to do.
    """
    from foveate.workflow.evaluate import evaluate as evaluate_verb

    loaded, name = _loaded(classifier)
    run = evaluate_verb(
        loaded,
        source,
        make_settings(find_project(source), flags=settings),
        name=name,
        include_training=include_training,
        out=out,
        report=report,
        limit=limit,
        progress=progress,
        stop=stop,
    )
    evaluated = run.evaluated
    return ReportedEvaluation(evaluated.evaluation, evaluated.predictions, run.details)


def score(
    classifier: Classifier | str | Path,
    source: str | Path,
    *,
    out: str | Path | None = None,
    limit: int | None = None,
    sample: float = 1.0,
    engine: str | None = None,
    target: str | None = None,
    progress: Progress | None = None,
    stop: Event | None = None,
    **settings: object,
) -> BulkResult:
    """Predict every image of a source.

    Args:
        classifier: loaded, or the path or URL of its file.
        source: a folder, a project, or a table; labels are not needed.
        out: the table, `.parquet` or `.csv`; needed on a cluster, where it may be a folder.
        limit: use at most so many images.
        sample: use about this share of the images, in (0, 1], chosen by the seed.
        engine: "local" or "spark".
        target: name of the cluster, as the project's settings file describes it.
        progress: as of `train`.
        stop: as of `train`.
        settings: any field of `foveate.Settings` that concerns reading and running.

    Returns:
        The counts, and on this machine the predictions.

    Raises:
        FoveateError: one of its kinds, with a sentence that says what to do.
    """
    from foveate.workflow.score import score as score_verb

    loaded, name = _loaded(classifier)
    return score_verb(
        loaded,
        source,
        make_settings(find_project(source), flags=settings),
        out=out,
        name=name,
        limit=limit,
        sample=sample,
        engine=engine,
        target=target,
        progress=progress,
        stop=stop,
    )


@overload
def featurize(source: str | Path, *, out: None = None, **options: Any) -> Features: ...
@overload
def featurize(source: str | Path, *, out: str | Path, **options: Any) -> BulkResult: ...
def featurize(
    source: str | Path,
    *,
    out: str | Path | None = None,
    limit: int | None = None,
    sample: float = 1.0,
    engine: str | None = None,
    target: str | None = None,
    progress: Progress | None = None,
    stop: Event | None = None,
    **settings: object,
) -> Features | BulkResult:
    """Features of every usable image of a source, in memory or in a table.

    Args:
        source: a folder, a project, or a table; labels are not needed.
        out: the table, `.parquet`; needed on a cluster, where it may be a folder.
        limit: use at most so many images.
        sample: use about this share of the images, in (0, 1], chosen by the seed.
        engine: "local" or "spark".
        target: name of the cluster, as the project's settings file describes it.
        progress: as of `train`.
        stop: as of `train`.
        settings: any field of `foveate.Settings`: `backbone="resnet18"`, `resolution=448`, …

    Returns:
        The features; where they went into a table, its counts.

    Raises:
        FoveateError: one of its kinds, with a sentence that says what to do.
    """
    from foveate.workflow.featurize import featurize as featurize_verb

    done = featurize_verb(
        source,
        make_settings(find_project(source), flags=settings),
        out=out,
        limit=limit,
        sample=sample,
        engine=engine,
        target=target,
        progress=progress,
        stop=stop,
    )
    if out is not None or done.prepared is None:
        return done.result
    rows = done.prepared.catalog.usable
    return Features(
        tuple(row.facts.id for row in rows),
        tuple(row.path for row in rows),
        tuple(row.entry.label for row in rows),
        done.prepared.features_of(rows),
    )


def check(
    source: str | Path = ".",
    *,
    limit: int | None = None,
    progress: Progress | None = None,
    stop: Event | None = None,
    **settings: object,
) -> Findings:
    """What is wrong with the images of a source: refused, tiny, copies, contradictory labels.

    Args:
        source: a folder, a project, or a table.
        limit: use at most so many images.
        progress: as of `train`.
        stop: as of `train`.
        settings: any field of `foveate.Settings` that concerns reading.

    Raises:
        FoveateError: one of its kinds, with a sentence that says what to do.
    """
    from foveate.workflow.check import check as check_verb

    made = make_settings(find_project(source), flags=settings)
    return check_verb(source, made, limit=limit, progress=progress, stop=stop).findings


def split(
    source: str | Path = ".",
    *,
    out: str | Path | None = None,
    progress: Progress | None = None,
    stop: Event | None = None,
    **settings: object,
) -> SplitSource:
    """The split that `train` would make with the same settings; copies never straddle it.

    Args:
        source: a project, a folder with one subfolder per label, or a table.
        out: a CSV file for path, label and side; nowhere where None.
        progress: as of `train`.
        stop: as of `train`.
        settings: any field of `foveate.Settings`: `split="subfolder"`, `test_share=0.5`, …

    Raises:
        FoveateError: one of its kinds, with a sentence that says what to do.
    """
    from foveate.workflow.split import split as split_verb

    made = make_settings(find_project(source), flags=settings)
    dealt = split_verb(source, made, progress=progress, stop=stop)
    if out is not None:
        dealt.write(out)
    return dealt


def runs(project: str | Path | None = None) -> list[RecordedRun]:
    """The runs on record, newest first.

    Args:
        project: its folder; None for those on bare sources.

    Raises:
        HistoryError: the history cannot be read.
    """
    folder = None if project is None else Path(project)
    place = find_place(folder, make_settings(folder).tracking)
    return [] if place is None else list_runs(place)


def load(path: str | Path) -> Classifier:
    """Load a classifier from its file, a path or URL.

    Raises:
        ModelFileError: it is not there or is not a foveate classifier.
    """
    return load_classifier(path)


def _loaded(classifier: Classifier | str | Path) -> tuple[Classifier, str]:
    """A classifier, and what it is called."""
    if isinstance(classifier, Classifier):
        return classifier, "model.onnx"
    return load_classifier(classifier), str(classifier)
