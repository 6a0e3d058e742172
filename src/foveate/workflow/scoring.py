"""A classifier on the images of a source: what it predicts, and how often it is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from foveate.catalog import Catalog, ImageRow, find_duplicates, read_source
from foveate.classifier import Classifier, load_classifier
from foveate.errors import SourceError
from foveate.evaluation import Evaluation
from foveate.evaluation import evaluate as evaluate_predictions
from foveate.predictions import Predictions
from foveate.progress import Progress, Stopwatch
from foveate.settings import Settings
from foveate.workflow.preparation import Extractor, Prepared, prepare


@dataclass(frozen=True, slots=True)
class Scored:
    """What a classifier says of the images of a source.

    Attributes:
        classifier: the classifier.
        prepared: source, catalog, features.
        predictions: one row per image.
        seconds: by stage.
    """

    classifier: Classifier
    prepared: Prepared
    predictions: Predictions
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """How often a classifier is right on the images of a source.

    Attributes:
        classifier: the classifier.
        prepared: source, catalog, features.
        predictions: one row per image that it is evaluated on.
        evaluation: of those.
        trained_on: files left out because the classifier was trained on them or on a copy.
        seconds: by stage.
    """

    classifier: Classifier
    prepared: Prepared
    predictions: Predictions
    evaluation: Evaluation
    trained_on: int
    seconds: dict[str, float]


def named_classifier(
    classifier: Classifier | str | Path, settings: Settings
) -> tuple[Classifier, str]:
    """A classifier, loaded if need be, and what it is called on record: its file.

    Raises:
        ModelFileError: the file is not there or is not a foveate classifier.
    """
    if isinstance(classifier, Classifier):
        return classifier, "model.onnx"
    return load_classifier(classifier, precision=settings.precision), str(classifier)


def score_source(
    classifier: Classifier,
    source: str | Path,
    settings: Settings | None = None,
    *,
    limit: int | None = None,
    sample: float = 1.0,
    progress: Progress | None = None,
) -> Scored:
    """Predictions for every image of a source; refused images have a row with the reason.

    Args:
        classifier: the classifier.
        source: see `catalog.read_source`; labels are not needed.
        settings: those that concern reading and running; the model file decides the rest.
        limit: score at most so many files, taken evenly.
        sample: score about this share of the files, in (0, 1], chosen by the seed.
        progress: told how far each stage is.

    Raises:
        SourceError: the source cannot be read.
    """
    settings = settings or Settings()
    watch = Stopwatch()
    with watch.stage("list"):
        listed = read_source(source).sampled(sample, settings.seed).limited(limit)
    extractor = Extractor(classifier.backbone, classifier.metadata.backbone, classifier.resize)
    prepared = prepare(listed, settings, watch, progress, extractor)
    with watch.stage("predict"):
        predictions = predict_rows(classifier, prepared, prepared.catalog.rows)
        predictions = replace(
            predictions,
            model=classifier.id,
            trained_on=tuple(classifier.was_trained_on(image) for image in predictions.ids or ()),
        )
    return Scored(classifier, prepared, predictions, watch.seconds)


def evaluate_source(
    classifier: Classifier,
    source: str | Path,
    settings: Settings | None = None,
    *,
    include_training: bool = False,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Evaluated:
    """How good a classifier is on the labelled images of a source.

    Images that the classifier was trained on, and near duplicates of them, are left out: on them
    every classifier looks better than it is. Where a source brings its own split, its test side
    is evaluated.

    Args:
        classifier: the classifier.
        source: see `catalog.read_source`.
        settings: those that concern reading and running; the model file decides the rest.
        include_training: evaluate on all labelled images, whether trained on or not.
        limit: use at most so many files, taken evenly.
        progress: told how far each stage is.

    Raises:
        SourceError: nothing in the source can be evaluated on.
    """
    settings = settings or Settings()
    scored = score_source(classifier, source, settings, limit=limit, progress=progress)
    watch = Stopwatch(scored.seconds)
    with watch.stage("evaluate"):
        catalog = scored.prepared.catalog
        keep = list(range(len(catalog.rows)))
        trained_on = 0
        if not include_training:
            keep, trained_on = unseen(classifier, catalog, settings)
        predictions = scored.predictions.take(keep)
        if not set(predictions.known) & set(classifier.labels):
            raise SourceError(_nothing_to_evaluate(classifier, catalog, trained_on))
        evaluation = evaluate_predictions(predictions, seed=settings.seed)
    return Evaluated(
        classifier, scored.prepared, predictions, evaluation, trained_on, watch.seconds
    )


def predict_rows(
    classifier: Classifier, prepared: Prepared, rows: Sequence[ImageRow]
) -> Predictions:
    """Predictions for some rows, from the features in the cache."""
    probabilities = np.full((len(rows), len(classifier.labels)), np.nan, np.float32)
    usable = [index for index, row in enumerate(rows) if row.facts.reason is None]
    index_of: dict[str, list[int]] = {}
    for index in usable:
        index_of.setdefault(rows[index].facts.id, []).append(index)
    for ids, features in prepared.batches(index_of):
        for image, row in zip(ids, classifier.probabilities(features), strict=True):
            probabilities[index_of[image]] = row
    return Predictions(
        labels=classifier.labels,
        paths=tuple(row.path for row in rows),
        known=tuple(row.entry.label for row in rows),
        probabilities=probabilities,
        errors=tuple(row.facts.refusal for row in rows),
        ids=tuple(row.facts.id for row in rows),
    )


def unseen(classifier: Classifier, catalog: Catalog, settings: Settings) -> tuple[list[int], int]:
    """Rows that a classifier can be evaluated on, and how many others it was trained on.

    Args:
        classifier: it knows its training images.
        catalog: every image of a source; where that brings its own split, the rows are those of
            its test side.
        settings: say how alike near duplicates are.

    Returns:
        Indices of the rows, and the number of rows with an image that the classifier was trained
        on or with a near duplicate of one.
    """
    duplicates = find_duplicates(catalog, max_bits=settings.near_duplicate_bits)
    trained_groups = {
        duplicates.group[row.facts.id]
        for row in catalog.usable
        if classifier.was_trained_on(row.facts.id)
    }
    brings_split = any(row.entry.side == "test" for row in catalog.rows)
    keep, trained_on = [], 0
    for index, row in enumerate(catalog.rows):
        if duplicates.group.get(row.facts.id) in trained_groups:
            trained_on += 1
        elif not brings_split or row.entry.side == "test":
            keep.append(index)
    return keep, trained_on


def _nothing_to_evaluate(classifier: Classifier, catalog: Catalog, trained_on: int) -> str:
    if trained_on:
        return (
            "This classifier was trained on every labelled image of this source (or on a copy of "
            "it). Give it images it has not seen, or ask for `--include-training`."
        )
    known = ", ".join(classifier.labels)
    labels = ", ".join(catalog.label_counts()) or "none"
    return f"The labels of this source ({labels}) are not those of the classifier ({known})."
