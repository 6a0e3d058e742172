"""What every verb does first: list a source, inspect its images, make their features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foveate.backbones import Backbone, Card
from foveate.catalog import (
    Catalog,
    Duplicates,
    FactStore,
    ImageRow,
    Source,
    Split,
    Workspace,
    find_duplicates,
    has_places,
    open_workspace,
    read_source,
    read_test_list,
    split_as_given,
    split_by_block,
    split_by_image,
    split_by_subfolder,
)
from foveate.errors import SourceError, TooFewImages
from foveate.features import (
    FeatureCache,
    Featurizer,
    Rate,
    StoredFeatures,
    feature_key,
    featurize,
    write_features,
)
from foveate.image import Resize
from foveate.progress import Progress, Stopwatch
from foveate.runtime import open_network
from foveate.settings import Settings

MIN_LABELS = 2
MIN_IMAGES = 2


@dataclass(frozen=True, slots=True)
class Extractor:
    """What turns images into features.

    Attributes:
        onnx_bytes: the backbone, `pixels` → `features`.
        card: what is known about it.
        resize: how an image becomes pixels.
    """

    onnx_bytes: bytes
    card: Card
    resize: Resize

    @classmethod
    def of(cls, backbone: Backbone, resize: Resize) -> Extractor:
        """A backbone as it is.

        Raises:
            BackboneError: see `Backbone.onnx_bytes`.
        """
        return cls(backbone.onnx_bytes(), backbone.card, resize)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A source with its images inspected and their features in the cache.

    Attributes:
        source: the files.
        workspace: where derived data lives.
        store: the memory of inspections.
        catalog: one row per file.
        cache: the features; None where only an inspection was wanted.
        rate: how many images had to be opened, and how fast that went.
    """

    source: Source
    workspace: Workspace
    store: FactStore
    catalog: Catalog
    cache: StoredFeatures | None
    rate: Rate

    def features_of(self, rows: Sequence[ImageRow]) -> NDArray[np.float32]:
        """The features (n, d) of n usable rows, in their order.

        Raises:
            ValueError: the source was only inspected.
        """
        return self._cache.load([row.facts.id for row in rows])

    def batches(self, ids: Collection[str]) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """The same in pieces, in no particular order: memory does not grow with their number.

        Raises:
            ValueError: the source was only inspected.
        """
        return self._cache.batches(ids)

    def write_features(self, path: Path) -> None:
        """Write the features of every usable image as Parquet.

        Raises:
            SettingsError: the path does not end in `.parquet`.
            ValueError: the source was only inspected.
        """
        write_features(path, self.catalog, self._cache)

    @property
    def _cache(self) -> StoredFeatures:
        if self.cache is None:
            raise ValueError("this source was only inspected; it has no features")
        return self.cache


def labelled_source(source: str | Path, settings: Settings) -> Source:
    """A source to train on: at least two labels, none of them empty.

    Raises:
        SourceError: it has no labels, or only one.
        TooFewImages: a label has no files at all, or only one.
    """
    listed = read_source(source).without(settings.exclude)
    if not listed.labels:
        raise SourceError(
            f"The images in ‘{listed.root}’ have no labels. Put them into one subfolder per label, "
            "or list them in a CSV file with the columns path and label."
        )
    if listed.empty_labels:
        label = listed.empty_labels[0]
        raise TooFewImages(
            f"‘{label}’ has no images. Add some or leave the label out with `--exclude {label}`."
        )
    if len(listed.labels) < MIN_LABELS:
        raise SourceError(
            f"There is only one label, ‘{listed.labels[0]}’; a classifier needs at least two to "
            "choose from. Add a subfolder with images of something else."
        )
    files = Counter(entry.label for entry in listed.entries)
    for label in listed.labels:
        if files[label] < MIN_IMAGES:  # said before hours are spent on the other labels
            raise TooFewImages(
                f"‘{label}’ has 1 image; at least 2 are needed, one to train and one to test on. "
                f"Add images or leave the label out with `--exclude {label}`."
            )
    if settings.test_list:
        listed = read_test_list(settings.test_list, listed)
    return listed


def prepare(
    source: Source,
    settings: Settings,
    watch: Stopwatch,
    progress: Progress | None,
    extractor: Extractor | None,
) -> Prepared:
    """Inspect every image of a source, bring its features to the cache, and write its catalog.

    See `prepare_part` for arguments and errors. Who splits the source takes
    `training_data.prepare_data`, so that the catalog tells the split, too.
    """
    prepared = prepare_part(source, settings, watch, progress, extractor)
    prepared.store.close(prepared.catalog)
    return prepared


def prepare_part(
    source: Source,
    settings: Settings,
    watch: Stopwatch,
    progress: Progress | None,
    extractor: Extractor | None,
) -> Prepared:
    """The same without writing the catalog, which is that of the whole source.

    Args:
        source: the files.
        settings: limits, workers, runtime.
        watch: gets the seconds of the stages "load" and "features" (or "inspect").
        progress: told how far the stage is.
        extractor: None to inspect only.

    Raises:
        SourceError: derived data cannot be kept anywhere.
    """
    stage = "features" if extractor else "inspect"
    with watch.stage("load"):
        workspace = open_workspace(source)
        store = FactStore(workspace)
        featurizer = open_featurizer(extractor, workspace, settings) if extractor else None
    with watch.stage(stage):
        catalog, rate = featurize(
            source,
            store,
            featurizer,
            limits=settings.limits,
            workers=settings.workers or None,
            progress=None if progress is None else lambda done, n: progress(stage, done, n),
        )
    cache = featurizer.cache if featurizer else None
    return Prepared(source, workspace, store, catalog, cache, rate)


def split_catalog(source: Source, catalog: Catalog, settings: Settings) -> tuple[Duplicates, Split]:
    """Duplicates and the split that the settings or the source ask for.

    Raises:
        TooFewImages: a label has too few usable images to train and test on.
    """
    counts = catalog.label_counts()
    for label in source.labels:
        if not counts[label]:
            raise TooFewImages(
                f"None of the images of ‘{label}’ can be used (`foveate check` names the reasons). "
                f"Repair them or leave the label out with `--exclude {label}`."
            )
    duplicates = find_duplicates(catalog, max_bits=settings.near_duplicate_bits)
    if any(entry.side for entry in source.entries):
        return duplicates, split_as_given(catalog, duplicates)
    wanted = settings.split
    if wanted == "block" or (wanted == "auto" and has_places(catalog.labelled)):
        return duplicates, split_by_block(
            catalog,
            duplicates,
            test_share=settings.test_share,
            block_size=settings.block_size,
            block_buffer=settings.block_buffer,
            seed=settings.seed,
        )
    split_by = split_by_subfolder if wanted == "subfolder" else split_by_image
    split = split_by(catalog, duplicates, test_share=settings.test_share, seed=settings.seed)
    return duplicates, split


def open_featurizer(extractor: Extractor, workspace: Workspace, settings: Settings) -> Featurizer:
    """The network of an extractor, and the cache of its features in a workspace."""
    network = open_network(
        extractor.onnx_bytes,
        resolution=extractor.resize.resolution,
        precision=settings.precision,
        runtime=settings.runtime,
        workers=settings.workers or None,
    )
    key = feature_key(extractor.card, extractor.resize, network.precision)
    cache = FeatureCache(workspace.features / key, extractor.card.dimension)
    return Featurizer(network, extractor.resize, cache)
