"""The verbs: train, evaluate, score, featurize, inspect; built from the rooms.

Each takes a SOURCE and typed settings, and returns one frozen result.
"""

from __future__ import annotations

from pathlib import Path

from foveate.backbones import find_backbone
from foveate.catalog import Duplicates, Split, find_duplicates, read_source, read_test_list
from foveate.image import Resize
from foveate.settings import Settings
from foveate.workflow.preparation import (
    Extractor,
    Prepared,
    Progress,
    Stopwatch,
    labelled_source,
    prepare,
    split_catalog,
)
from foveate.workflow.scoring import Scoring, evaluate, score
from foveate.workflow.training import Training, train

__all__ = [
    "Scoring",
    "Training",
    "evaluate",
    "featurize",
    "inspect",
    "score",
    "split",
    "train",
]


def featurize(
    source: str | Path,
    settings: Settings | None = None,
    *,
    limit: int | None = None,
    sample: float = 1.0,
    progress: Progress | None = None,
) -> tuple[Prepared, dict[str, float]]:
    """The features of every image of a source, in the cache, and the seconds by stage.

    Raises:
        SourceError: the source cannot be read.
    """
    settings = settings or Settings()
    watch = Stopwatch()
    with watch.stage("list"):
        listed = read_source(source).sampled(sample, settings.seed).limited(limit)
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
