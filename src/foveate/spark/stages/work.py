"""What a worker does for a pipeline stage: images of a partition in, rows of the network out.

Spark hands a task its rows in record batches of any length. They are dealt out anew in batches that
the network is fastest with, and as many threads as the task has cores each read, decode and compute
one of those at a time. So few batches are in memory however long the partition, and what comes out
is in the order of what went in.

The network is compiled once for each worker process and kept for its later tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate import __version__, files
from foveate.catalog import read_file
from foveate.classifier import Classifier
from foveate.errors import ClusterError, ImageRefused, Reason
from foveate.features.pipeline import BATCHES_PER_WORKER, REMOTE_WORKERS_PER_CORE
from foveate.image import Limits, Resize, open_image
from foveate.ordered import map_in_order
from foveate.runtime import Network, Precision, open_network
from foveate.spark.jobs.compiled import compiled

if TYPE_CHECKING:
    from pyspark import Broadcast

T = TypeVar("T")
R = TypeVar("R")

ImageCell = str | bytes | None
"""What a row holds: a path or URL, the bytes of an image file, or nothing."""


@dataclass(frozen=True, slots=True)
class Work:
    """What to compute; equal work shares one compiled network.

    Attributes:
        digest: SHA-256 of the file that the network is in.
        resize: how an image becomes pixels; None where the file is a classifier, which says so.
        precision: "auto", "bfloat16" or "float32".
        batch: images a call; 0 is what the runtime is fastest with.
        foveate: version of the driver.
    """

    digest: str
    resize: Resize | None
    precision: Precision
    batch: int
    foveate: str = __version__


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one image.

    Attributes:
        values: features or probabilities (d,), None where the image was refused.
        label: the most probable label; None where refused, or where there is no classifier.
        error: why it was refused, None where it was not.
    """

    values: NDArray[np.float32] | None
    label: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class StageEngine:
    """A compiled network.

    Attributes:
        network: the backbone.
        resize: how an image becomes pixels.
        classifier: what follows the backbone, None for features.
    """

    network: Network
    resize: Resize
    classifier: Classifier | None = None

    def run(self, images: list[ImageCell]) -> list[Outcome]:
        """What comes of each image of a batch; refused ones carry the reason."""
        pixels: list[NDArray[np.uint8]] = []
        errors: list[str | None] = []
        for image in images:
            try:
                pixels.append(open_image(_read(image)).pixels(self.resize))
                errors.append(None)
            except ImageRefused as refusal:
                errors.append(str(refusal))
        rows = iter(self._rows(np.stack(pixels)) if pixels else ())
        return [
            self._outcome(next(rows)) if error is None else Outcome(None, error=error)
            for error in errors
        ]

    def _rows(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        features = self.network.run(pixels)
        return features if self.classifier is None else self.classifier.probabilities(features)

    def _outcome(self, row: NDArray[np.float32]) -> Outcome:
        if self.classifier is None:
            return Outcome(row)
        return Outcome(row, self.classifier.prediction(None, row).label)


def run_partition(
    parts: Iterable[Iterable[ImageCell]],
    work: Work,
    shipped: Broadcast[bytes],
    options: Mapping[str, Mapping[str, str]],
) -> Iterator[list[Outcome]]:
    """What comes of each image of a partition, in order; called within a task of Spark.

    Args:
        parts: the images, in record batches of any length.
        work: what to compute.
        shipped: the file that the network is in.
        options: of fsspec's file systems, by protocol.

    Raises:
        ClusterError: this worker has another version of foveate than the driver.
    """
    from pyspark import TaskContext

    if work.foveate != __version__:
        raise ClusterError(
            f"The driver has foveate {work.foveate}, this worker {__version__}. Install the same "
            "version everywhere."
        )
    files.use_storage_options(options)
    task = TaskContext.get()
    cores = 1 if task is None else task.cpus()
    engine = compiled((work, cores), lambda: _compile(work, shipped.value, cores))
    batches = in_batches(parts, engine.network.batch)
    first = next(batches, None)
    if first is None:
        return
    remote = isinstance(first[0], str) and files.is_url(local_path(first[0]))
    threads = cores * (REMOTE_WORKERS_PER_CORE if remote else 1)
    every = chain([first], batches)
    yield from map_in_order(engine.run, every, threads, ahead=BATCHES_PER_WORKER)


def in_batches(parts: Iterable[Iterable[T]], size: int) -> Iterator[list[T]]:
    """The items of all parts, in order, in lists of `size`; only the last may be shorter."""
    batch: list[T] = []
    for item in chain.from_iterable(parts):
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def local_path(path: str) -> str:
    """A path as foveate reads it: Hadoop, and so Spark, writes `file:/a` for `/a`."""
    if path.startswith("file:/") and not path.startswith("file://"):
        return path.removeprefix("file:")
    return path


def _compile(work: Work, data: bytes, cores: int) -> StageEngine:
    batch = work.batch or None
    if work.resize is None:
        classifier = Classifier(data, precision=work.precision, workers=cores, batch=batch)
        engine = StageEngine(classifier.network, classifier.resize, classifier)
    else:
        network = open_network(
            data,
            resolution=work.resize.resolution,
            precision=work.precision,
            workers=cores,
            batch=batch,
        )
        engine = StageEngine(network, work.resize)
    engine.network.prepare()
    return engine


def _read(image: ImageCell) -> bytes:
    """The bytes of an image file.

    Raises:
        ImageRefused: there are none.
    """
    if isinstance(image, bytes | bytearray):
        return bytes(image)
    if not isinstance(image, str):  # pandas shows null as None or NaN
        raise ImageRefused(Reason.EMPTY, "The row holds no image (null).")
    try:
        return read_file(files.file_entry(local_path(image)), Limits())
    except ImageRefused:
        raise
    except Exception as error:  # every store has exceptions of its own
        raise ImageRefused(Reason.UNREADABLE, f"{type(error).__name__}: {error}") from None
