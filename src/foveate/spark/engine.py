"""Training on a cluster: its workers make the features, Spark ML fits the head.

Everything else is done as without a cluster and by the same code: the split, what is evaluated
and how, the classifier's file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from foveate import files
from foveate.catalog import Catalog, Entry, Facts, FactStore, ImageRow, Source, open_workspace
from foveate.features import Rate
from foveate.progress import Progress, Stopwatch
from foveate.settings import Settings
from foveate.spark.cluster.session import open_session
from foveate.spark.jobs.job import READERS, Finished, run_job
from foveate.spark.jobs.parts import FeatureParts, read_facts
from foveate.spark.jobs.plan import read_plan
from foveate.spark.jobs.worker import SparkJob
from foveate.targets import Target
from foveate.workflow.engine import HERE
from foveate.workflow.preparation import Extractor, Prepared, prepare_part

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from foveate.heads import Head

ROWS_AT_ONCE = 512
"""Rows of features that a worker hands to Spark at once: a few megabytes."""


class SparkEngine:
    """Where `training.train_classifier` computes: on a cluster. Make one with `spark_engine`.

    Args:
        session: of the cluster.
        target: the cluster.
    """

    def __init__(self, session: SparkSession, target: Target) -> None:
        self._session = session
        self._target = target
        self._scratch = target.storage

    def prepare(
        self,
        source: Source,
        settings: Settings,
        watch: Stopwatch,
        progress: Progress | None,
        extractor: Extractor | None,
    ) -> Prepared:
        """Inspect every image of a source, and compute its features, on the workers.

        Features stay in the target's storage, so that the next training finds them. Without an
        extractor the images are inspected on this machine.

        Raises:
            SourceError: derived data cannot be kept.
            ClusterError: the cluster failed, or does not share the storage.
        """
        if extractor is None:
            return prepare_part(source, settings, watch, progress, None)
        with watch.stage("load"):
            workspace = open_workspace(source)
            store = FactStore(workspace)
            self._scratch = self._scratch or str(workspace.folder / "spark")
        job = SparkJob(
            kind="prepare",
            out="",
            suffix=".parquet",
            root="",
            selection="",
            plan="",
            network=files.digest(extractor.onnx_bytes),
            dimension=extractor.card.dimension,
            resize=extractor.resize,
            limits=settings.limits,
            precision=settings.precision,
            runtime=settings.runtime,
        )
        job = job.into(files.join(self._scratch, f"prepared-{job.key}-{_name(source)}"))
        with watch.stage("features"):
            # Neither label nor side nor place changes the features.
            plain = {e: replace(e, label=None, side=None, place=None) for e in source.entries}
            finished = run_job(
                self._session,
                job,
                list(dict.fromkeys(plain.values())),
                extractor.onnx_bytes,
                storage_options=self._target.opened_storage_options(),
                progress=None
                if progress is None
                else lambda done, n: progress("features", done, n),
            )
            facts, parts = _read(finished)
            catalog = Catalog(tuple(ImageRow(e, facts[plain[e]]) for e in source.entries))
        rate = Rate(finished.images, finished.seconds)
        return Prepared(source, workspace, store, catalog, parts, rate)

    def fit(
        self,
        prepared: Prepared,
        rows: Sequence[ImageRow],
        groups: Sequence[int],
        settings: Settings,
    ) -> Head:
        """Fit a head on the features of some rows, by Spark ML.

        Raises:
            ClusterError: Spark failed.
        """
        from foveate.heads import encode, rows_to_search, weights_of
        from foveate.spark.heads.fitting import Sample, fit_on_spark

        parts = prepared.cache
        if not isinstance(parts, FeatureParts):  # features of this machine: they are fitted here
            return HERE.fit(prepared, rows, groups, settings)
        labels, codes = encode([str(row.entry.label) for row in rows])
        group = np.unique(np.asarray(groups), return_inverse=True)[1]
        weights = weights_of(settings.class_weight, codes)
        part = rows_to_search(codes, group, settings.folds, settings.seed)
        sample = Sample(
            rows=part.astype(np.int64),
            features=prepared.features_of([rows[i] for i in part]),
            codes=codes[part],
            groups=group[part],
        )
        data = self._frame(parts, [row.facts.id for row in rows], codes, weights)
        return fit_on_spark(data, labels, sample, settings).head

    def _frame(
        self,
        parts: FeatureParts,
        ids: Sequence[str],
        codes: NDArray[np.intp],
        weights: NDArray[np.float64],
    ) -> DataFrame:
        """Rows with features, read by the workers from the parts."""
        chosen = parts.rows_of(ids)
        options = self._target.opened_storage_options()
        paths = [parts.path(number) for number in chosen]
        # Row by row of a part: where it is there, its number, its label and its weight.
        wanted = [
            (np.array(there), np.array(here), codes[here], weights[here])
            for there, here in chosen.values()
        ]
        shared = self._session.sparkContext.broadcast(wanted)

        def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            files.use_storage_options(options)
            for batch in batches:
                for number in batch.column(0).to_pylist():
                    there, here, code, weight = shared.value[number]
                    with files.open_file(paths[number]) as file:
                        column = pq.read_table(file, columns=["features"]).column(0)
                    column = column.combine_chunks().cast(pa.list_(pa.float32()))
                    for start in range(0, len(there), ROWS_AT_ONCE):
                        some = slice(start, start + ROWS_AT_ONCE)
                        yield pa.RecordBatch.from_arrays(
                            [
                                pa.array(here[some], pa.int64()),
                                column.take(pa.array(there[some])),
                                pa.array(code[some], pa.int32()),
                                pa.array(weight[some], pa.float64()),
                            ],
                            names=["row", "features", "code", "weight"],
                        )

        n = len(paths)
        return self._session.range(0, n, 1, n).mapInArrow(
            read, "row long, features array<float>, code int, weight double"
        )


@contextmanager
def spark_engine(target: Target) -> Iterator[SparkEngine]:
    """An engine on a cluster, connected as long as it is needed.

    Raises:
        ClusterError: the cluster cannot be reached.
    """
    with open_session(target, name="foveate train") as session:
        yield SparkEngine(session, target)


def _read(finished: Finished) -> tuple[dict[Entry, Facts], FeatureParts]:
    """What is known of each file, and where the features are; no features are read."""
    job = finished.job
    paths = [job.part(shard) for shard in finished.shards]
    with ThreadPoolExecutor(READERS) as pool:
        facts = list(pool.map(read_facts, paths))
    by_entry: dict[Entry, Facts] = {}
    for shard, known in zip(read_plan(job.plan, len(paths)), facts, strict=True):
        by_entry |= zip(shard.entries, known, strict=True)
    return by_entry, FeatureParts(paths, facts, job.dimension)


def _name(source: Source) -> str:
    return files.digest(source.root.encode("utf-8", "surrogatepass"))[:8]
