"""What a training works with, and on what: images with features, dealt to train and test."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from foveate.backbones import Backbone
from foveate.catalog import Duplicates, ImageRow, Source, Split, groups_of, split_by_image
from foveate.progress import Progress, Stopwatch
from foveate.settings import Settings
from foveate.workflow.engine import HERE, Engine
from foveate.workflow.preparation import Extractor, Prepared, prepare_part, split_catalog

if TYPE_CHECKING:
    from foveate.finetune.refinement import Refiner


SIDES: tuple[Literal["train", "test"], ...] = ("train", "test")


@dataclass(frozen=True, slots=True)
class Means:
    """What a training works with.

    Attributes:
        engine: where features are computed and heads are fitted.
        watch: gets the seconds of each stage.
        progress: told how far each stage is.
        refiner: what refines a network; None where it is taken as it is.
    """

    engine: Engine
    watch: Stopwatch
    progress: Progress | None
    refiner: Refiner | None = None

    def after_the_first(self) -> AbstractContextManager[None]:
        """Within, the first of several processes that refine together goes ahead."""
        return nullcontext() if self.refiner is None else self.refiner.after_the_first()


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Images with features, dealt to train and test.

    Attributes:
        prepared: source, catalog, features.
        duplicates: which images are copies of each other.
        split: which images train and which test.
        trained: (n,) rows to train on.
        tested: (m,) rows to test on.
        groups: (n,) of `trained`; see `catalog.groups_of`.
    """

    prepared: Prepared
    duplicates: Duplicates
    split: Split
    trained: list[ImageRow]
    tested: list[ImageRow]
    groups: list[int]

    def dealt_by_image(self, settings: Settings) -> TrainingData:
        """The same images as a split by image deals them, with the same share and seed."""
        split = split_by_image(
            self.prepared.catalog,
            self.duplicates,
            test_share=settings.test_share,
            seed=settings.seed,
        )
        return _dealt(self.prepared, self.duplicates, split)


def settle(listed: Source, settings: Settings, backbone: Backbone, means: Means) -> Settings:
    """The settings with what the images and the device decide; the images are inspected.

    Args:
        listed: the images.
        settings: see `finetune.refinement.Refiner` for what they may leave open.
        backbone: to refine.
        means: with a refiner, or nothing is left open.
    """
    if means.refiner is None:
        return settings
    inspected = prepare_data(listed, settings, None, replace(means, engine=HERE))
    return means.refiner.settled(settings, backbone, inspected.trained)


def prepare_data(
    listed: Source, settings: Settings, extractor: Extractor | None, means: Means
) -> TrainingData:
    """Features of all images, and which of them train; the catalog then tells the split.

    Args:
        listed: the images.
        settings: all of them.
        extractor: what computes the features; None to inspect only.
        means: its watch gets the seconds of the stages of `prepare` and of "split".

    Raises:
        TooFewImages: a label has too few images to train and test on.
    """
    prepared = means.engine.prepare(listed, settings, means.watch, means.progress, extractor)
    with means.watch.stage("split" if extractor else "inspect"):
        duplicates, split = split_catalog(listed, prepared.catalog, settings)
        prepared.store.close(prepared.catalog, split)
    return _dealt(prepared, duplicates, split)


def with_features(
    data: TrainingData,
    rows: Sequence[ImageRow],
    settings: Settings,
    extractor: Extractor,
    means: Means,
) -> TrainingData:
    """The same images with other features, made for some rows."""
    source = data.prepared.source.of(row.entry for row in rows)
    other = prepare_part(source, settings, means.watch, means.progress, extractor)
    return replace(data, prepared=replace(data.prepared, cache=other.cache))


def _dealt(prepared: Prepared, duplicates: Duplicates, split: Split) -> TrainingData:
    trained, tested = (split.rows(prepared.catalog, side) for side in SIDES)
    return TrainingData(
        prepared, duplicates, split, trained, tested, groups_of(trained, duplicates, split)
    )
