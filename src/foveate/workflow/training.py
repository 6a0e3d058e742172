"""From a source to a classifier, and to how good it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foveate import __version__
from foveate.backbones import find_backbone, giving, need_torch
from foveate.catalog import Blocks, Duplicates, ImageRow, Source, Split
from foveate.classifier import Classifier
from foveate.evaluation import Estimate, Evaluation, clustered, wilson
from foveate.evaluation import evaluate as evaluate_predictions
from foveate.history import run_name
from foveate.image import Resize
from foveate.model_file import Summary, compose
from foveate.predictions import Predictions
from foveate.progress import Progress, Stopwatch
from foveate.settings import Settings
from foveate.workflow.engine import HERE, Engine, fit_rows
from foveate.workflow.preparation import Extractor, Prepared, labelled_source
from foveate.workflow.scoring import predict_rows
from foveate.workflow.training_data import (
    Means,
    TrainingData,
    prepare_data,
    settle,
    with_features,
)

if TYPE_CHECKING:
    from foveate.finetune.refinement import Refinement
    from foveate.heads import Head


@dataclass(frozen=True, slots=True)
class AccuracyByLand:
    """The same kind of head on frozen features, tested on other land and tested next door.

    Attributes:
        by_block: accuracy on blocks of land that it was not trained on; the interval comes from
            resampling blocks, because images of a block are right or wrong together.
        by_image: accuracy where images are dealt one by one, so that most test images have
            neighbours among those trained on. It is too good for any other land.
    """

    by_block: Estimate
    by_image: Estimate


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
        by_land: where the split was by blocks of land, what that says; None otherwise.
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
    by_land: AccuracyByLand | None
    seconds: dict[str, float]

    @property
    def baseline_accuracy(self) -> float | None:
        """Share of the test images that the baseline is right on."""
        return None if self.baseline is None else float(np.mean(self.baseline.right))

    def save(self, path: str | Path) -> None:
        """Write the classifier, one ONNX file; what a killed training goes on from is then gone."""
        self.classifier.save(path)
        self.forget_checkpoint()

    def forget_checkpoint(self) -> None:
        """Remove what a killed training goes on from: the classifier is safe."""
        if self.refinement is not None:
            self.refinement.checkpoint.unlink(missing_ok=True)


def train_classifier(
    source: str | Path,
    settings: Settings | None = None,
    *,
    limit: int | None = None,
    sample: float = 1.0,
    name: str | None = None,
    engine: Engine = HERE,
    progress: Progress | None = None,
) -> Training:
    """Everything it takes to get a classifier from a source, and to know how good it is.

    Args:
        source: see `catalog.read_source`.
        settings: all parameters; the defaults where None.
        limit: use at most so many files, taken evenly.
        sample: use about this share of the files, in (0, 1], chosen by the seed.
        name: of the run; one by time and kind where None.
        engine: where features are computed and the head is fitted; networks are refined here.
        progress: told how far each stage is.

    Raises:
        SourceError: the source cannot be read, or has fewer than two labels.
        TooFewImages: a label has too few images to train and test on.
    """
    settings = settings or Settings()
    name = name or run_name(settings.classifier)
    watch = Stopwatch()
    with watch.stage("list"):
        listed = labelled_source(source, settings).sampled(sample, settings.seed).limited(limit)
    if not settings.refines:
        return _train(listed, settings, name, Means(engine, watch, progress))
    need_torch("To refine a network")
    from foveate.finetune.refinement import open_refiner

    with open_refiner(settings) as refiner:
        return _train(listed, settings, name, Means(HERE, watch, progress, refiner))


def _train(listed: Source, settings: Settings, name: str, means: Means) -> Training:
    watch = means.watch
    with watch.stage("load"):
        backbone = find_backbone(settings.backbone)
    with means.after_the_first():
        settings = settle(listed, settings, backbone, means)
        backbone.card.check_resolution(settings.resolution)
        resize = Resize(settings.resolution, settings.resize)
        extractor = Extractor.of(backbone.giving(settings.features), resize)
        data = prepare_data(listed, settings, extractor, means)
    with watch.stage("head"):
        if means.progress is not None:
            means.progress("head", 0, len(data.trained))
        head = means.engine.fit(data.prepared, data.trained, data.groups, settings)
    frozen = by_land = refinement = None
    if means.refiner is not None or data.split.blocks is not None:
        frozen = _tested(extractor, head, settings, data)
    if data.split.blocks is not None and frozen is not None:
        with watch.stage("split by image"):
            by_image = _accuracy_by_image(data, extractor, settings, means.engine)
            by_block = _by_blocks(frozen, data.tested, data.split.blocks, settings)
            by_land = AccuracyByLand(by_block, by_image)
    if means.refiner is not None:
        from foveate.finetune.gather import TrainingRows

        own = data
        if extractor.card.features != "last":
            # Refining begins with the network's own last layer, whatever a frozen head has seen.
            last = Extractor.of(backbone, resize)
            with means.after_the_first():
                own = with_features(data, data.trained, settings, last, means)
        rows = TrainingRows(
            own.trained, np.array(own.groups), own.prepared.features_of(own.trained)
        )
        refinement = means.refiner.refine(
            backbone, rows, settings, data.prepared.workspace, watch, means.progress
        )
        pack, card = refinement.pack, refinement.card
        wanted = data.tested
        if settings.classifier == "svm-dnn":
            pack, card = giving(pack, card, settings.features)
            wanted = [*data.trained, *data.tested]
        extractor = Extractor(pack, card, resize)
        data = with_features(data, wanted, settings, extractor, means)
        head = _refined_head(refinement, data, settings, watch)
    with watch.stage("evaluate"):
        # The file is what is evaluated; what came out can be written into it only afterwards.
        predictions = _tested(extractor, head, settings, data)
        evaluation = _evaluated(predictions, settings, data)
        classifier = _compose(
            extractor, head, settings, data.trained, len(data.tested), evaluation.accuracy
        )
    return Training(
        name=name,
        settings=settings,
        classifier=classifier,
        head=head,
        prepared=data.prepared,
        duplicates=data.duplicates,
        split=data.split,
        predictions=predictions,
        evaluation=evaluation,
        refinement=refinement,
        baseline=frozen if refinement is not None else None,
        by_land=by_land,
        seconds=watch.seconds,
    )


def _refined_head(
    refinement: Refinement, data: TrainingData, settings: Settings, watch: Stopwatch
) -> Head:
    """The network's own last layer, or an SVM on its features."""
    if settings.classifier != "svm-dnn":
        return refinement.head
    with watch.stage("head"):
        features = data.prepared.features_of(data.trained)
        # The network knows the images that it learned from: they cannot choose C.
        held = refinement.held if settings.depth != "last_only" else None
        return fit_rows(features, data.trained, data.groups, settings, settings.head, held)


def _tested(
    extractor: Extractor, head: Head, settings: Settings, data: TrainingData
) -> Predictions:
    """What a classifier with this head says of the test images."""
    classifier = _compose(extractor, head, settings, data.trained)
    return predict_rows(classifier, data.prepared, data.tested)


def _evaluated(predictions: Predictions, settings: Settings, data: TrainingData) -> Evaluation:
    evaluation = evaluate_predictions(predictions, seed=settings.seed)
    if data.split.blocks is not None:
        # Images of a block are right or wrong together: they say less than as many strewn ones.
        spread = _by_blocks(predictions, data.tested, data.split.blocks, settings)
        evaluation = replace(evaluation, accuracy=spread)
    return evaluation


def _accuracy_by_image(
    data: TrainingData, extractor: Extractor, settings: Settings, engine: Engine
) -> Estimate:
    """The accuracy that a split by image would have shown, with the same share and seed."""
    dealt = data.dealt_by_image(settings)
    head = engine.fit(dealt.prepared, dealt.trained, dealt.groups, settings)
    predictions = _tested(extractor, head, settings, dealt)
    return wilson(int(predictions.right.sum()), len(predictions.right))


def _by_blocks(
    predictions: Predictions, rows: Sequence[ImageRow], blocks: Blocks, settings: Settings
) -> Estimate:
    """The accuracy on some rows, its interval from resampling their blocks."""
    names, block = np.unique([blocks.of_image[row.facts.id] for row in rows], return_inverse=True)
    hits = np.bincount(block, weights=predictions.right, minlength=len(names)).astype(np.int64)
    return clustered(hits, np.bincount(block), rng=np.random.default_rng(settings.seed))


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
