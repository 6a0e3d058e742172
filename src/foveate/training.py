"""From a source to a classifier, and to how good it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from foveate import __version__
from foveate.backbones import find_backbone, need_torch
from foveate.catalog import (
    Blocks,
    Catalog,
    Duplicates,
    ImageRow,
    Side,
    Source,
    Split,
    groups_of,
    split_by_image,
)
from foveate.classifier import Classifier
from foveate.evaluation import Estimate, Evaluation, clustered, wilson
from foveate.evaluation import evaluate as evaluate_predictions
from foveate.history import run_name
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
from foveate.scoring import predict_rows
from foveate.settings import Settings

if TYPE_CHECKING:
    from foveate.finetune.device import Device
    from foveate.heads import Head, HeadKind


@dataclass(frozen=True, slots=True)
class PlacedAccuracy:
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
        places: where the split was by blocks of land, what that says; None otherwise.
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
    places: PlacedAccuracy | None
    seconds: dict[str, float]

    @property
    def baseline_accuracy(self) -> float | None:
        """Share of the test images that the baseline is right on."""
        return None if self.baseline is None else float(np.mean(self.baseline.right))

    def save(self, path: str | Path) -> None:
        """Write the classifier, one ONNX file; what a killed training goes on from is then gone."""
        self.classifier.save(path)
        if self.refinement is not None:
            self.refinement.checkpoint.unlink(missing_ok=True)


class Engine(Protocol):
    """Where features are computed and heads are fitted."""

    def prepare(
        self,
        source: Source,
        settings: Settings,
        watch: Stopwatch,
        progress: Progress | None,
        extractor: Extractor,
    ) -> Prepared:
        """Inspect every image of a source, and compute its features."""
        ...

    def fit(
        self,
        prepared: Prepared,
        rows: Sequence[ImageRow],
        groups: Sequence[int],
        settings: Settings,
    ) -> Head:
        """Fit a head on the features of some rows; rows of a group are near duplicates."""
        ...


class LocalEngine:
    """This machine."""

    def prepare(
        self,
        source: Source,
        settings: Settings,
        watch: Stopwatch,
        progress: Progress | None,
        extractor: Extractor,
    ) -> Prepared:
        """Inspect every image of a source, and compute its features."""
        return prepare(source, settings, watch, progress, extractor)

    def fit(
        self,
        prepared: Prepared,
        rows: Sequence[ImageRow],
        groups: Sequence[int],
        settings: Settings,
    ) -> Head:
        """Fit a head on the features of some rows."""
        return fit_rows(prepared.features_of(rows), rows, groups, settings, settings.head)


HERE = LocalEngine()


def train(
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
        return _train(listed, settings, name, watch, progress, None, engine)
    need_torch("To refine a network")
    from foveate.finetune.device import open_device

    with open_device(settings.device, settings.precision) as device:
        return _train(listed, settings, name, watch, progress, device, HERE)


def _train(
    listed: Source,
    settings: Settings,
    name: str,
    watch: Stopwatch,
    progress: Progress | None,
    device: Device | None,
    engine: Engine,
) -> Training:
    with watch.stage("load"):
        backbone = find_backbone(settings.backbone)
    with after_the_first(device):
        if device is not None:
            inspected = prepare(listed, settings, watch, progress, None)
            _, split = split_catalog(listed, inspected.catalog, settings)
            inspected.store.close(inspected.catalog, split)
            settings = settled(
                settings, backbone, rows_of(inspected.catalog, split, "train"), device
            )
        backbone.card.check_resolution(settings.resolution)
        resize = Resize(settings.resolution, settings.resize)
        extractor = Extractor(backbone.onnx_bytes(), backbone.card, resize)
        prepared = engine.prepare(listed, settings, watch, progress, extractor)
        with watch.stage("split"):
            duplicates, split = split_catalog(listed, prepared.catalog, settings)
            prepared.store.close(prepared.catalog, split)
    trained, tested = (rows_of(prepared.catalog, split, side) for side in ("train", "test"))
    groups = groups_of(trained, duplicates, split)
    refinement = baseline = places = None
    with watch.stage("head"):
        head = engine.fit(prepared, trained, groups, settings)
    if device is not None or split.blocks is not None:
        baseline = predict_rows(_compose(extractor, head, settings, trained), prepared, tested)
    if split.blocks is not None and baseline is not None:
        with watch.stage("split by image"):
            by_image = _accuracy_by_image(prepared, duplicates, extractor, settings, engine)
            places = PlacedAccuracy(_by_blocks(baseline, tested, split.blocks, settings), by_image)
    if device is not None:
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
                # The network knows the images that it learned from: they cannot choose C.
                held = refinement.held if settings.depth != "last_only" else None
                head = fit_rows(
                    prepared.features_of(trained), trained, groups, settings, settings.head, held
                )
    with watch.stage("evaluate"):
        # The file is what is evaluated; what came out can be written into it only afterwards.
        predictions = predict_rows(_compose(extractor, head, settings, trained), prepared, tested)
        evaluation = evaluate_predictions(predictions, seed=settings.seed)
        if split.blocks is not None:
            # Images of a block are right or wrong together: they say less than as many strewn ones.
            spread = _by_blocks(predictions, tested, split.blocks, settings)
            evaluation = replace(evaluation, accuracy=spread)
        classifier = _compose(extractor, head, settings, trained, len(tested), evaluation.accuracy)
    return Training(
        name=name,
        settings=settings,
        classifier=classifier,
        head=head,
        prepared=prepared,
        duplicates=duplicates,
        split=split,
        predictions=predictions,
        evaluation=evaluation,
        refinement=refinement,
        baseline=baseline if device is not None else None,
        places=places,
        seconds=watch.seconds,
    )


def _accuracy_by_image(
    prepared: Prepared,
    duplicates: Duplicates,
    extractor: Extractor,
    settings: Settings,
    engine: Engine,
) -> Estimate:
    """The accuracy that a split by image would have shown, with the same share and seed."""
    catalog = prepared.catalog
    split = split_by_image(catalog, duplicates, test_share=settings.test_share, seed=settings.seed)
    trained, tested = (rows_of(catalog, split, side) for side in ("train", "test"))
    head = engine.fit(prepared, trained, groups_of(trained, duplicates, split), settings)
    found = predict_rows(_compose(extractor, head, settings, trained), prepared, tested)
    return wilson(int(found.right.sum()), len(found.right))


def _by_blocks(
    predictions: Predictions, rows: Sequence[ImageRow], blocks: Blocks, settings: Settings
) -> Estimate:
    """The accuracy on some rows, its interval from resampling their blocks."""
    names, block = np.unique([blocks.of_image[row.facts.id] for row in rows], return_inverse=True)
    hits = np.bincount(block, weights=predictions.right, minlength=len(names)).astype(np.int64)
    return clustered(hits, np.bincount(block), rng=np.random.default_rng(settings.seed))


def fit_rows(
    features: NDArray[np.float32],
    rows: Sequence[ImageRow],
    groups: Sequence[int],
    settings: Settings,
    kind: HeadKind,
    held_out: NDArray[np.bool_] | None = None,
) -> Head:
    """A head on the features (n, d) of n images, as the settings want it; see `heads.fit_head`."""
    from foveate.heads import fit_head  # brings scikit-learn, which no other verb needs

    return fit_head(
        features,
        [str(row.entry.label) for row in rows],
        kind=kind,
        c_grid=settings.c,
        class_weight=None if settings.class_weight == "none" else settings.class_weight,
        folds=settings.folds,
        trees=settings.trees,
        seed=settings.seed,
        groups=groups,
        held_out=held_out,
    )


def rows_of(catalog: Catalog, split: Split, wanted: Side) -> list[ImageRow]:
    """The labelled images of a side."""
    sides = split.sides()
    return [row for row in catalog.labelled if sides.get(row.facts.id) == wanted]


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
