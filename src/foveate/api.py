"""The Python interface: the verbs with their settings as keyword arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foveate.classifier import Classifier, load_classifier
from foveate.evaluation import Evaluation, ReportDetails, write_report
from foveate.history import RecordedRun, find_place, list_runs, recording
from foveate.predictions import Predictions
from foveate.settings import make_settings
from foveate.workflow import pipeline
from foveate.workflow.outcomes import evaluation_outcome, training_outcome, tuning_outcome
from foveate.workflow.results import evaluation_report, training_json, training_report

if TYPE_CHECKING:
    from foveate.tuning import Tuning


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
        training: everything else: settings, split, catalog, head, seconds.
    """

    name: str
    classifier: Classifier
    evaluation: ReportedEvaluation
    training: pipeline.Training

    def save(self, path: str | Path) -> None:
        """Write the classifier, one ONNX file."""
        self.training.save(path)

    def to_json(self) -> dict[str, object]:
        """What `foveate train --json` prints."""
        return training_json(self.training, model=None, report=None)


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


def train(source: str | Path, *, limit: int | None = None, **settings: object) -> Run:
    """Train a classifier on a source and evaluate it.

    Args:
        source: a project, a folder with one subfolder per label, or a table.
        limit: use at most so many images.
        settings: any field of `foveate.Settings`: `classifier="svm"`, `resolution=448`, …

    Raises:
        FoveateError: one of its kinds, with a sentence that says what to do.
    """
    made = make_settings(_project(source), flags=settings)
    place = find_place(_project(source), made.tracking)
    known = made.as_text() | {"limit": str(limit)}
    with recording(place, "train", str(source), known, label=made.classifier) as record:
        training = pipeline.train(source, made, limit=limit, name=record.name)
        details = training_report(training, model=Path("model.onnx"), source=str(source))
        record.finish(training_outcome(training, details, model=None, report=None))
    evaluation = ReportedEvaluation(training.evaluation, training.predictions, details)
    return Run(training.name, training.classifier, evaluation, training)


def refine(source: str | Path, *, limit: int | None = None, **settings: object) -> Run:
    """Train a classifier by refining the network itself, not only a head on its features.

    The same as `train` with `classifier="dnn"`; `classifier="svm-dnn"` puts a linear SVM on the
    refined features.

    Args:
        source: a project, a folder with one subfolder per label, or a table.
        limit: use at most so many images.
        settings: any field of `foveate.Settings`: `backbone="resnet18"`, `depth="head"`, …

    Raises:
        FoveateError: one of its kinds, with a sentence that says what to do.
    """
    return train(source, limit=limit, **{"classifier": "dnn", **settings})


def tune(
    source: str | Path,
    *,
    minutes: float = 10.0,
    backbones: Sequence[str] = (),
    resolutions: Sequence[int] = (),
    classifiers: Sequence[str] = (),
    limit: int | None = None,
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
        settings: any other field of `foveate.Settings`.

    Raises:
        FoveateError: one of its kinds, with a sentence that says what to do.
    """
    from foveate.tuning import tune as search

    made = make_settings(_project(source), flags=settings)
    place = find_place(_project(source), made.tracking)
    known = made.as_text() | {"limit": str(limit), "minutes": str(minutes)}
    with recording(place, "tune", str(source), known) as record:
        found = search(
            source,
            made,
            minutes=minutes,
            backbones=backbones,
            resolutions=resolutions,
            classifiers=classifiers,
            limit=limit,
        )
        record.finish(tuning_outcome(found, report=None))
    return found


def evaluate(
    classifier: Classifier | str | Path,
    source: str | Path,
    *,
    include_training: bool = False,
    limit: int | None = None,
    **settings: object,
) -> ReportedEvaluation:
    """Evaluate a classifier on the labelled images of a source that it was not trained on.

    Raises:
        FoveateError: one of its kinds, with a sentence that says what to do.
    """
    loaded = classifier if isinstance(classifier, Classifier) else load_classifier(classifier)
    made = make_settings(_project(source), flags=settings)
    name = "model.onnx" if isinstance(classifier, Classifier) else str(classifier)
    place = find_place(_project(source), made.tracking)
    known = {"model": name, "include_training": str(include_training), "limit": str(limit)}
    with recording(place, "evaluate", str(source), known) as record:
        scoring = pipeline.evaluate(
            loaded, source, made, include_training=include_training, limit=limit
        )
        if scoring.evaluation is None:
            raise AssertionError("evaluate always evaluates")
        details = evaluation_report(scoring, model=name, source=str(source))
        record.finish(evaluation_outcome(scoring, details, made, report=None))
    return ReportedEvaluation(scoring.evaluation, scoring.predictions, details)


def featurize(source: str | Path, *, limit: int | None = None, **settings: object) -> Features:
    """Features of every usable image of a source.

    Raises:
        FoveateError: one of its kinds, with a sentence that says what to do.
    """
    made = make_settings(_project(source), flags=settings)
    prepared, _ = pipeline.featurize(source, made, limit=limit)
    rows = prepared.catalog.usable
    return Features(
        tuple(row.facts.id for row in rows),
        tuple(row.path for row in rows),
        tuple(row.entry.label for row in rows),
        prepared.features_of(rows),
    )


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


def _project(source: str | Path) -> Path | None:
    return Path(source) if (Path(source) / "foveate.toml").is_file() else None
