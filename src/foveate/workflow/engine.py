"""Where features are computed and heads are fitted: here, or on a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from foveate.catalog import ImageRow, Source
from foveate.errors import SettingsError
from foveate.files import use_storage_options
from foveate.progress import Progress, Stopwatch
from foveate.settings import Settings
from foveate.workflow.preparation import Extractor, Prepared, prepare_part

if TYPE_CHECKING:
    from foveate.heads import Head, HeadKind
    from foveate.targets import Target


class Engine(Protocol):
    """Where features are computed and heads are fitted."""

    def prepare(
        self,
        source: Source,
        settings: Settings,
        watch: Stopwatch,
        progress: Progress | None,
        extractor: Extractor | None,
    ) -> Prepared:
        """Inspect every image of a source, and compute its features where there is an extractor.

        Who calls it writes the catalog; see `training_data.prepare_data`.
        """
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
        extractor: Extractor | None,
    ) -> Prepared:
        """Inspect every image of a source, and compute its features."""
        return prepare_part(source, settings, watch, progress, extractor)

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


def choose_target(engine: str | None, name: str | None, project: Path | None) -> Target | None:
    """The cluster that a verb works on; None for this machine.

    Args:
        engine: "local", "spark", or None for the one that the target needs.
        name: of a target.
        project: whose settings file names targets; that of the folder one is in, where None.

    Raises:
        SettingsError: there is no such engine or target, or they contradict each other.
    """
    from foveate.targets import Target, find_target

    if engine not in (None, "local", "spark"):
        raise SettingsError(f"There is no engine ‘{engine}’; choose local or spark.")
    if name is None:
        # Without a name: what spark-submit or Spark's own settings say, else all cores here.
        return Target() if engine == "spark" else None
    if engine == "local":
        raise SettingsError(f"--engine local works on this machine, --target {name} elsewhere.")
    target = find_target(name, project)
    use_storage_options(target.opened_storage_options())  # the model may lie in the store, too
    return target


@contextmanager
def open_engine(cluster: Target | None) -> Iterator[Engine]:
    """What computes features and fits heads: this machine where there is no cluster.

    Raises:
        ClusterError: the cluster cannot be reached.
    """
    if cluster is None:
        yield HERE
        return
    from foveate.spark.engine import spark_engine

    with spark_engine(cluster) as engine:
        yield engine


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
