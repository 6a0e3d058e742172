"""The verbs: train, evaluate, score, featurize, inspect; built from the rooms.

Each takes a SOURCE and typed settings, and returns one frozen result.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foveate import __version__
from foveate.backbones import find_backbone, need_torch
from foveate.catalog import (
    Catalog,
    Duplicates,
    ImageRow,
    Source,
    Split,
    find_duplicates,
    read_source,
    read_test_list,
)
from foveate.classifier import Classifier
from foveate.errors import SourceError
from foveate.evaluation import Estimate, Evaluation
from foveate.evaluation import evaluate as evaluate_predictions
from foveate.image import Resize
from foveate.model_file import Summary, compose
from foveate.predictions import Predictions
from foveate.preparation import (
    Extractor,
    Prepared,
    Progress,
    Stopwatch,
    labelled_source,
    prepare,
    split_catalog,
)
from foveate.refinement import (
    Refinement,
    TrainingRows,
    after_the_first,
    refine_backbone,
    settled,
)
from foveate.settings import Settings

if TYPE_CHECKING:
    from foveate.finetune.device import Device
    from foveate.heads import Head, HeadKind


@dataclass(frozen=True, slots=True)
class Training:
    """What `train` made.

    Attributes:
        name: of the run, for history and reports.
        settings: all of them.
        classifier: ready to predict.
        head: as fitted, with what the search over C saw.
        prepared: source, catalog, features.
        duplicates: which images are copies of each other.
        split: which images trained and which tested.
        predictions: on the test images.
        evaluation: of those predictions.
        refinement: how the backbone was refined; None where it was taken as it is.
        baseline: what a linear SVM on the features before refining predicts for the same images.
        seconds: by stage.
    """

    name: str
    settings: Settings
    classifier: Classifier
    head: Head
    prepared: Prepared
    duplicates: Duplicates
    split: Split
    predictions: Predictions
    evaluation: Evaluation
    refinement: Refinement | None
    baseline: Predictions | None
    seconds: dict[str, float]

    @property
    def baseline_accuracy(self) -> float | None:
        """Share of the test images that the baseline is right on."""
        return None if self.baseline is None else float(np.mean(self.baseline.right))


@dataclass(frozen=True, slots=True)
class Scoring:
    """What `score` or `evaluate` found out about the images of a source.

    Attributes:
        classifier: the classifier.
        prepared: source, catalog, features.
        predictions: one row per image.
        trained_on: files left out because the classifier was trained on them or on a copy.
        evaluation: None where only predictions were wanted.
        seconds: by stage.
    """

    classifier: Classifier
    prepared: Prepared
    predictions: Predictions
    trained_on: int
    evaluation: Evaluation | None
    seconds: dict[str, float]


def train(
    source: str | Path,
    settings: Settings | None = None,
    *,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Training:
    """Everything it takes to get a classifier from a source, and to know how good it is.

    Args:
        source: see `catalog.read_source`.
        settings: all parameters; the defaults where None.
        limit: use at most so many files, taken evenly.
        progress: told how far each stage is.

    Raises:
        SourceError: the source cannot be read, or has fewer than two labels.
        TooFewImages: a label has too few images to train and test on.
    """
    settings = settings or Settings()
    watch = Stopwatch()
    with watch.stage("list"):
        listed = labelled_source(source, settings).limited(limit)
    if not settings.refines:
        return _train(listed, settings, watch, progress, None)
    need_torch("To refine a network")
    from foveate.finetune.device import open_device

    with open_device(settings.device, settings.precision) as device:
        return _train(listed, settings, watch, progress, device)


def _train(
    listed: Source,
    settings: Settings,
    watch: Stopwatch,
    progress: Progress | None,
    device: Device | None,
) -> Training:
    with watch.stage("load"):
        backbone = find_backbone(settings.backbone)
    with after_the_first(device):
        if device is not None:
            inspected = prepare(listed, settings, watch, progress, None)
            inspected.store.close(inspected.catalog)
            settings = settled(settings, backbone, inspected.catalog.usable, device)
        backbone.card.check_resolution(settings.resolution)
        resize = Resize(settings.resolution, settings.resize)
        extractor = Extractor(backbone.onnx_bytes(), backbone.card, resize)
        prepared = prepare(listed, settings, watch, progress, extractor)
        with watch.stage("split"):
            duplicates, split = split_catalog(listed, prepared.catalog, settings)
            prepared.store.close(prepared.catalog, split)
    side = split.sides()
    trained, tested = (
        [row for row in prepared.catalog.labelled if side.get(row.facts.id) == wanted]
        for wanted in ("train", "test")
    )
    groups = [duplicates.group[row.facts.id] for row in trained]
    refinement = baseline = None
    with watch.stage("head"):
        head = _fit(prepared, trained, groups, settings, settings.head)
    if device is not None:
        baseline = _predict(_compose(extractor, head, settings, trained), prepared, tested)
        refinement = refine_backbone(
            backbone,
            TrainingRows(trained, np.array(groups), prepared.features_of(trained)),
            settings,
            device,
            prepared.workspace,
            watch,
            progress,
        )
        extractor = Extractor(refinement.pack, refinement.card, resize)
        wanted = [*trained, *tested] if settings.classifier == "svm-dnn" else tested
        refined = listed.of(row.entry for row in wanted)
        prepared = replace(
            prepared, cache=prepare(refined, settings, watch, progress, extractor).cache
        )
        head = refinement.head
        if settings.classifier == "svm-dnn":
            with watch.stage("head"):
                head = _fit(prepared, trained, groups, settings, settings.head)
    with watch.stage("evaluate"):
        # The file is what is evaluated; what came out can be written into it only afterwards.
        predictions = _predict(_compose(extractor, head, settings, trained), prepared, tested)
        evaluation = evaluate_predictions(predictions, seed=settings.seed)
        classifier = _compose(extractor, head, settings, trained, len(tested), evaluation.accuracy)
    if refinement is not None:
        refinement.checkpoint.unlink(missing_ok=True)
    return Training(
        name=run_name(settings.classifier),
        settings=settings,
        classifier=classifier,
        head=head,
        prepared=prepared,
        duplicates=duplicates,
        split=split,
        predictions=predictions,
        evaluation=evaluation,
        refinement=refinement,
        baseline=baseline,
        seconds=watch.seconds,
    )


def _fit(
    prepared: Prepared,
    rows: Sequence[ImageRow],
    groups: Sequence[int],
    settings: Settings,
    kind: HeadKind,
) -> Head:
    """A head on the features in the cache."""
    from foveate.heads import fit_head  # brings scikit-learn, which no other verb needs

    return fit_head(
        prepared.features_of(rows),
        [str(row.entry.label) for row in rows],
        kind=kind,
        c_grid=settings.c,
        class_weight=None if settings.class_weight == "none" else settings.class_weight,
        folds=settings.folds,
        trees=settings.trees,
        seed=settings.seed,
        groups=groups,
    )


def _compose(
    extractor: Extractor,
    head: Head,
    settings: Settings,
    trained: Sequence[ImageRow],
    n_test: int = 0,
    accuracy: Estimate | None = None,
) -> Classifier:
    """The classifier file, and a classifier that runs it."""
    summary = Summary(
        classifier=settings.classifier,
        c=head.c,
        n_train=len(trained),
        n_test=n_test,
        accuracy=accuracy.value if accuracy else None,
        accuracy_ci95=(accuracy.low, accuracy.high) if accuracy else None,
        seed=settings.seed,
        foveate=__version__,
    )
    ids = {row.facts.id for row in trained}
    return Classifier(
        compose(
            extractor.onnx_bytes, head, extractor.card, extractor.resize, summary, trained_on=ids
        ),
        precision=settings.precision,
        runtime=settings.runtime,
    )


def score(
    classifier: Classifier,
    source: str | Path,
    settings: Settings | None = None,
    *,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Scoring:
    """Predictions for every image of a source; refused images have a row with the reason.

    Args:
        classifier: the classifier.
        source: see `catalog.read_source`; labels are not needed.
        settings: those that concern reading and running; the model file decides the rest.
        limit: score at most so many files, taken evenly.
        progress: told how far each stage is.

    Raises:
        SourceError: the source cannot be read.
    """
    settings = settings or Settings()
    watch = Stopwatch()
    with watch.stage("list"):
        listed = read_source(source).limited(limit)
    extractor = Extractor(classifier.backbone, classifier.metadata.backbone, classifier.resize)
    prepared = prepare(listed, settings, watch, progress, extractor)
    with watch.stage("predict"):
        prepared.store.close(prepared.catalog)
        predictions = _predict(classifier, prepared, prepared.catalog.rows)
    return Scoring(classifier, prepared, predictions, 0, None, watch.seconds)


def evaluate(
    classifier: Classifier,
    source: str | Path,
    settings: Settings | None = None,
    *,
    include_training: bool = False,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Scoring:
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
    scoring = score(classifier, source, settings, limit=limit, progress=progress)
    watch = Stopwatch(scoring.seconds)
    with watch.stage("evaluate"):
        catalog = scoring.prepared.catalog
        keep = list(range(len(catalog.rows)))
        trained_on = 0
        if not include_training:
            keep, trained_on = _unseen(classifier, catalog, settings)
        predictions = scoring.predictions.take(keep)
        if not set(predictions.known) & set(classifier.labels):
            raise SourceError(_nothing_to_evaluate(classifier, catalog, trained_on))
        evaluation = evaluate_predictions(predictions, seed=settings.seed)
    return replace(scoring, predictions=predictions, trained_on=trained_on, evaluation=evaluation)


def featurize(
    source: str | Path,
    settings: Settings | None = None,
    *,
    limit: int | None = None,
    progress: Progress | None = None,
) -> tuple[Prepared, dict[str, float]]:
    """The features of every image of a source, in the cache, and the seconds by stage.

    Raises:
        SourceError: the source cannot be read.
    """
    settings = settings or Settings()
    watch = Stopwatch()
    with watch.stage("list"):
        listed = read_source(source).limited(limit)
    with watch.stage("load"):
        backbone = find_backbone(settings.backbone, resolution=settings.resolution)
        resize = Resize(settings.resolution, settings.resize)
        extractor = Extractor(backbone.onnx_bytes(), backbone.card, resize)
    prepared = prepare(listed, settings, watch, progress, extractor)
    with watch.stage("write"):
        prepared.store.close(prepared.catalog)
    return prepared, watch.seconds


def inspect(
    source: str | Path,
    settings: Settings | None = None,
    *,
    limit: int | None = None,
    progress: Progress | None = None,
) -> tuple[Prepared, Duplicates]:
    """Open every image of a source once, without a network: what is wrong with the data.

    Raises:
        SourceError: the source cannot be read.
    """
    settings = settings or Settings()
    watch = Stopwatch()
    listed = read_source(source).without(settings.exclude).limited(limit)
    if settings.test_list:
        listed = read_test_list(settings.test_list, listed)
    prepared = prepare(listed, settings, watch, progress, None)
    return prepared, find_duplicates(prepared.catalog, max_bits=settings.near_duplicate_bits)


def split(
    source: str | Path,
    settings: Settings | None = None,
    *,
    progress: Progress | None = None,
) -> tuple[Prepared, Split]:
    """The split that `train` would make with the same settings.

    Raises:
        SourceError: the source cannot be read, or has fewer than two labels.
        TooFewImages: a label has too few images to train and test on.
    """
    settings = settings or Settings()
    listed = labelled_source(source, settings)
    prepared = prepare(listed, settings, Stopwatch(), progress, None)
    _, found = split_catalog(listed, prepared.catalog, settings)
    prepared.store.close(prepared.catalog, found)
    return prepared, found


def _predict(classifier: Classifier, prepared: Prepared, rows: Sequence[ImageRow]) -> Predictions:
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
    )


def _unseen(classifier: Classifier, catalog: Catalog, settings: Settings) -> tuple[list[int], int]:
    """Rows that the classifier can be evaluated on, and how many it was trained on."""
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
    found = ", ".join(catalog.label_counts()) or "none"
    return f"The labels of this source ({found}) are not those of the classifier ({known})."


def run_name(kind: str) -> str:
    """A name for a run, by time and kind: `20261121-101502-svm`."""
    return time.strftime(f"%Y%m%d-%H%M%S-{kind}")
