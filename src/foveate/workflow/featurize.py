"""The verb `featurize`: the features of every image of a source, here or on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np
from numpy.typing import NDArray

from foveate.backbones import find_backbone
from foveate.catalog import ImageRow, read_source
from foveate.image import Resize
from foveate.progress import Progress, Stopwatch, stoppable
from foveate.settings import Settings
from foveate.workflow.engine import choose_target
from foveate.workflow.places import find_project, settings_of
from foveate.workflow.preparation import Extractor, Prepared, prepare
from foveate.workflow.results.bulk import BulkResult, bulk_result


@dataclass(frozen=True, slots=True)
class Features:
    """Features of the n usable images of a source.

    Attributes:
        result: what was done, in numbers, and where it is.
        prepared: the images; None where a cluster made the features, which are in `result.out`.
    """

    result: BulkResult
    prepared: Prepared | None

    @property
    def ids(self) -> tuple[str, ...]:
        """SHA-256 of each image's bytes."""
        return tuple(row.facts.id for row in self._rows)

    @property
    def paths(self) -> tuple[str, ...]:
        """Of each image."""
        return tuple(row.path for row in self._rows)

    @property
    def labels(self) -> tuple[str | None, ...]:
        """Of each image, None where it has none."""
        return tuple(row.entry.label for row in self._rows)

    @property
    def values(self) -> NDArray[np.float32]:
        """(n, d) float32, read from the cache at each call."""
        return self._here.features_of(self._rows)

    @property
    def _rows(self) -> Sequence[ImageRow]:
        return self._here.catalog.usable

    @property
    def _here(self) -> Prepared:
        if self.prepared is None:
            raise ValueError(f"a cluster made these features: they are in {self.result.out}")
        return self.prepared


def featurize(
    source: str | Path,
    settings: Settings | None = None,
    *,
    out: str | Path | None = None,
    limit: int | None = None,
    sample: float = 1.0,
    engine: str | None = None,
    target: str | None = None,
    progress: Progress | None = None,
    stop: Event | None = None,
    **changes: object,
) -> Features:
    """The features of every image of a source; here they stay in the cache, too.

    Args:
        source: see `catalog.read_source`; labels are not needed.
        settings: as of `train`, like `engine`, `target`, `progress`, `stop` and `changes`.
        out: the table, `.parquet`; on a cluster also a folder of parts, and never None.
        limit: use at most so many files, taken evenly.
        sample: use about this share of the files, in (0, 1], chosen by the seed.
        engine: see above.
        target: see above.
        progress: see above.
        stop: see above.
        changes: see above.

    Raises:
        SourceError: the source cannot be read.
        FoveateError: another of its kinds; see `spark.jobs.bulk.featurize`.
        Stopped: `stop` was set.
        ValueError: a cluster was named, but no place for the result.
    """
    settings = settings_of(source, settings, changes)
    cluster = choose_target(engine, target, find_project(source))
    progress = stoppable(progress, stop)
    if cluster is not None:
        from foveate.spark.jobs.bulk import featurize as featurize_there

        if out is None:
            raise ValueError("features of a cluster go to a file or a folder: name `out`")
        there = featurize_there(
            source,
            settings,
            target=cluster,
            out=out,
            limit=limit,
            sample=sample,
            progress=progress,
        )
        return Features(there, None)
    prepared, seconds = featurize_source(
        source, settings, limit=limit, sample=sample, progress=progress
    )
    with Stopwatch(seconds).stage("write"):
        if out is not None:
            prepared.write_features(Path(out))
    return Features(bulk_result(prepared, seconds, out), prepared)


def featurize_source(
    source: str | Path,
    settings: Settings,
    *,
    limit: int | None = None,
    sample: float = 1.0,
    progress: Progress | None = None,
) -> tuple[Prepared, dict[str, float]]:
    """The features of every image of a source, in the cache, and the seconds by stage."""
    watch = Stopwatch()
    with watch.stage("list"):
        listed = read_source(source).sampled(sample, settings.seed).limited(limit)
    with watch.stage("load"):
        backbone = find_backbone(
            settings.backbone, resolution=settings.resolution, features=settings.features
        )
        resize = Resize(settings.resolution, settings.resize)
        extractor = Extractor.of(backbone, resize)
    return prepare(listed, settings, watch, progress, extractor), watch.seconds
