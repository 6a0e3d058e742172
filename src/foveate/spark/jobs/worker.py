"""What a worker does: the images of a shard become a part of the result, and a tally.

It runs foveate's own pipeline on the cores that Spark gave the task. The part goes straight from
here to where the result is wanted; only the tally goes through Spark. A part appears whole or not
at all, under a name that the shard decides: done twice, it is still there once.
"""

from __future__ import annotations

import io
import json
import os
import resource
import socket
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from foveate import __version__, files
from foveate.catalog import Facts, ImageRow, catalog_table
from foveate.classifier import Classifier
from foveate.errors import ClusterError
from foveate.features import Extraction, as_arrow, threads
from foveate.image import Limits, Resize
from foveate.predictions import Predictions, to_table, write_table
from foveate.runtime import Network, Precision, RuntimeName, open_network
from foveate.spark.jobs.compiled import compiled
from foveate.spark.jobs.plan import Shard, read_shard

Kind = Literal["score", "featurize", "prepare"]

META = "_foveate"
"""Folder of a result for what is not the result; Spark and Arrow skip names with an underscore."""

REFUSED = "_refused"
NAMED = 5
"""Refused images that a tally names; all of them are in the result."""

ENOUGH = 8
"""If of so many images none can be read, it is the store that fails, not the images."""


@dataclass(frozen=True, slots=True)
class SparkJob:
    """What is to be done with every shard.

    Attributes:
        kind: score: predictions; featurize: features for people; prepare: features with all that
            training needs to know of an image.
        out: folder of the result, a local path or URL.
        suffix: of its parts.
        root: where the images are.
        selection: which of them, in words; empty for all.
        plan: folder of the plan.
        network: SHA-256 of the classifier (score) or of the backbone.
        dimension: features an image.
        resize: how an image becomes pixels.
        limits: the largest image to accept.
        precision: what the network computes in.
        runtime: what runs it.
        foveate: version of the driver.
    """

    kind: Kind
    out: str
    suffix: str
    root: str
    selection: str
    plan: str
    network: str
    dimension: int
    resize: Resize
    limits: Limits
    precision: Precision
    runtime: RuntimeName
    foveate: str = __version__

    @property
    def place(self) -> str:
        """What a user calls the folder of the result."""
        return "The target's `storage`" if self.kind == "prepare" else "--out"

    @property
    def key(self) -> str:
        """16 hexadecimal digits for everything but the state of the files."""
        values = asdict(self)
        for name in ("out", "plan", "foveate"):
            del values[name]
        return files.digest(json.dumps(values, sort_keys=True).encode())[:16]

    def into(self, out: str) -> SparkJob:
        """The same with its result in a folder."""
        return replace(self, out=out)

    def part(self, shard: str) -> str:
        """Where the part of a shard is."""
        return files.join(self.out, f"part-{shard}{self.suffix}")

    def tally(self, shard: str) -> str:
        """Where its tally is."""
        return files.join(self.out, f"{META}/tallies/{shard}.json")


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of a shard.

    Attributes:
        shard: its id.
        images: files in it.
        refused: those of them that could not be used.
        unread: those of the refused whose bytes could not be read: that may be another day.
        named: path and reason of the first few of these.
        predicted: images by predicted label (score).
        confidence: sum of the probabilities of the predicted labels (score).
        precision: what the network computed in.
        seconds: on the worker.
        worker: host and process.
        peak: bytes of memory that the process held at most so far.
    """

    shard: str
    images: int
    refused: int
    unread: int
    named: tuple[tuple[str, str], ...]
    predicted: Mapping[str, int]
    confidence: float
    precision: str
    seconds: float
    worker: str
    peak: int

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Tally:
        """From text.

        Raises:
            ValueError: it is not a tally.
        """
        try:
            values = json.loads(text)
            named = tuple((str(path), str(reason)) for path, reason in values.pop("named"))
            return cls(named=named, **values)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a tally: {error}") from None


def run_shard(job: SparkJob, index: int, onnx_bytes: bytes, cores: int) -> Tally:
    """Do one shard of a job's plan.

    Args:
        job: what to do.
        index: of the shard.
        onnx_bytes: the classifier, or the backbone.
        cores: threads that may compute.

    Raises:
        ClusterError: this worker has another version of foveate than the driver, or does not
            see the images or the folder of the result.
        OSError: the plan or all of the images cannot be read, or the part not written.
    """
    if job.foveate != __version__:
        raise ClusterError(
            f"The worker {socket.gethostname()} has foveate {__version__}, this machine has "
            f"{job.foveate}. Install the same version on all of them."
        )
    start = time.perf_counter()
    try:
        shard = read_shard(job.plan, index)
    except FileNotFoundError:
        raise ClusterError(_unseen(job.out, job.place)) from None
    loaded = _load(job, onnx_bytes, cores)
    network = loaded.network if isinstance(loaded, Classifier) else loaded
    rows, features = _extract(job, shard, network, cores)
    refused = [row for row in rows if row.facts.reason is not None]
    unread = [row for row in refused if not row.facts.id and row.entry.file.size >= 0]
    if len(unread) == len(rows) >= ENOUGH:
        raise OSError(f"none of {len(rows)} images can be read: {unread[0].facts.refusal}")
    predicted: Counter[str] = Counter()
    confidence = 0.0
    if isinstance(loaded, Classifier):
        predictions = _predict(loaded, rows, features)
        table = to_table(predictions)
        predicted.update(label for label in predictions.predicted if label is not None)
        confidence = float(np.nansum(predictions.probability))
    elif job.kind == "featurize":
        table = _features_table(rows, features)
        _write_refused(job, shard, rows)
    else:
        table = catalog_table(rows).append_column("features", _nullable(rows, features))
    buffer = io.BytesIO()
    if job.kind == "score":
        write_table(table, buffer, job.suffix)
    else:
        # Floats gain nothing from a dictionary or from compression.
        pq.write_table(
            table, buffer, compression="none", use_dictionary=False, write_statistics=False
        )
    files.write_anywhere(job.part(shard.id), buffer.getvalue())
    tally = Tally(
        shard=shard.id,
        images=len(rows),
        refused=len(refused),
        unread=len(unread),
        named=tuple((row.path, str(row.facts.refusal)) for row in refused[:NAMED]),
        predicted=dict(predicted),
        confidence=confidence,
        precision=network.precision,
        seconds=time.perf_counter() - start,
        worker=f"{socket.gethostname()}:{os.getpid()}",
        peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )
    # The part is on the disk by now. Without its tally it would be made again.
    files.write_anywhere(job.tally(shard.id), tally.to_json().encode(), durable=False)
    return tally


def _unseen(path: str, what: str) -> str:
    return (
        f"The worker {socket.gethostname()} does not see ‘{path}’. {what} must be a URL, or a "
        "folder that this machine and all workers share; `foveate copy` brings images to a store."
    )


def _load(job: SparkJob, onnx_bytes: bytes, cores: int) -> Network | Classifier:
    def load() -> Network | Classifier:
        if not files.exists(job.root):
            raise ClusterError(_unseen(job.root, "SOURCE"))
        workers = threads(job.root, cores)
        if job.kind == "score":
            return Classifier(
                onnx_bytes, precision=job.precision, runtime=job.runtime, workers=workers
            )
        return open_network(
            onnx_bytes,
            resolution=job.resize.resolution,
            precision=job.precision,
            runtime=job.runtime,
            workers=workers,
        )

    key = (job.kind == "score", job.root, job.network, job.precision, job.runtime, job.resize)
    return compiled((*key, cores), load)


def _extract(
    job: SparkJob, shard: Shard, network: Network, cores: int
) -> tuple[list[ImageRow], NDArray[np.float32]]:
    """A row an image, and the features (n, d) of those that were not refused."""
    extraction = Extraction(job.limits, network, job.resize)
    extracted: list[Facts] = []
    features: list[NDArray[np.float32]] = []
    for batch in extraction.batches(shard.entries, threads(job.root, cores)):
        for facts, values in batch:
            extracted.append(facts)
            if values is not None:
                features.append(values)
    rows = [ImageRow(entry, facts) for entry, facts in zip(shard.entries, extracted, strict=True)]
    return rows, np.stack(features) if features else np.zeros((0, job.dimension), np.float32)


def _predict(
    classifier: Classifier, rows: Sequence[ImageRow], features: NDArray[np.float32]
) -> Predictions:
    probabilities = np.full((len(rows), len(classifier.labels)), np.nan, np.float32)
    read = [row.facts.reason is None for row in rows]
    probabilities[read] = classifier.probabilities(features)
    return Predictions(
        labels=classifier.labels,
        paths=tuple(row.path for row in rows),
        known=tuple(row.entry.label for row in rows),
        probabilities=probabilities,
        errors=tuple(row.facts.refusal for row in rows),
        model=classifier.id,
        trained_on=tuple(classifier.was_trained_on(row.facts.id) for row in rows),
    )


def _features_table(rows: Sequence[ImageRow], features: NDArray[np.float32]) -> pa.Table:
    read = [row for row in rows if row.facts.reason is None]
    return pa.table(
        {
            "id": pa.array([row.facts.id for row in read], pa.string()),
            "path": pa.array([row.path for row in read], pa.string()),
            "label": pa.array([row.entry.label for row in read], pa.string()),
            "features": as_arrow(features),
        }
    )


def _nullable(rows: Sequence[ImageRow], features: NDArray[np.float32]) -> pa.Array:
    """The features of all rows, zeros where the image was refused: its `status` says so."""
    every = np.zeros((len(rows), features.shape[1]), np.float32)
    every[[row.facts.reason is None for row in rows]] = features
    return as_arrow(every)


def _write_refused(job: SparkJob, shard: Shard, rows: Sequence[ImageRow]) -> None:
    """Features have no place for an image without any: those are listed beside them."""
    refused = [row for row in rows if row.facts.reason is not None]
    path = files.join(job.out, f"{REFUSED}/part-{shard.id}.parquet")
    if not refused:
        files.remove(path)  # an earlier attempt may have met a network drive that did not answer
        return
    buffer = io.BytesIO()
    table = pa.table(
        {
            "path": pa.array([row.path for row in refused], pa.string()),
            "label": pa.array([row.entry.label for row in refused], pa.string()),
            "error": pa.array([row.facts.refusal for row in refused], pa.string()),
        }
    )
    pq.write_table(table, buffer)
    files.write_anywhere(path, buffer.getvalue())
