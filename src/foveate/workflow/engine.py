"""Where features are computed and heads are fitted: here, or on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from foveate.catalog import ImageRow, Source
from foveate.settings import Settings
from foveate.workflow.preparation import Extractor, Prepared, Progress, Stopwatch, prepare

if TYPE_CHECKING:
    from foveate.heads import Head, HeadKind


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
