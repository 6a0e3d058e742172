"""What the machine could do at best, without a server: the bars of serving are shares of this."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import foveate, scratch
from benchmarks.load_http import spread
from foveate import Classifier, load
from foveate.classifier import image_pixels
from foveate.runtime import open_network, usable_cores

COPIES = 16


def lay_out(images: Path, count: int, folder: Path) -> None:
    """The images of the load, often enough that starting costs nothing beside them.

    Copies differ behind the end of the JPEG only: to decode they are the same, but nothing that
    is remembered about one serves the other.
    """
    folder.mkdir()
    for number, path in enumerate(spread(images, count)):
        data = path.read_bytes()
        for copy in range(COPIES):
            (folder / f"{number}-{copy}.jpg").write_bytes(data + copy.to_bytes(2))


def score_rate(model: Path, images: Path) -> float:
    """Images/s of `foveate score` from the bytes, with an empty cache."""
    with scratch() as folder:
        out = folder / "scores.parquet"
        result = foveate("score", model, images, "--out", out, "--json", cache=folder / "cache")
        return float(result.json["images_per_second"])


def seconds_in_process(classifier: Classifier, data: Sequence[bytes]) -> list[float]:
    """Seconds to decode and infer each image alone, in this thread."""
    taken = []
    for one in data:
        start = time.perf_counter()
        pixels = image_pixels(one, classifier.resize)
        row = classifier.probabilities(classifier.network.run(pixels[None]))[0]
        classifier.prediction(None, row)
        taken.append(time.perf_counter() - start)
    return taken


@dataclass(frozen=True)
class Alone:
    """Images/s on all cores, a process each, so that no two wait for Python's lock.

    Attributes:
        decode: decode and resize only.
        network: backbone and head only, in full batches.
        both: one after the other, in full batches.
    """

    decode: float
    network: float
    both: float


def alone(model: Path, images: Path, count: int, seconds: float = 3.0) -> Alone:
    """Measure the parts by themselves, on all cores at once."""
    cores = usable_cores()
    context = get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(cores, mp_context=context) as pool:
        work = partial(_rates, model, images, count, seconds)
        rates = np.array(list(pool.map(work, [manager.Barrier(cores)] * cores)))
    return Alone(*rates.sum(axis=0).tolist())


def _rates(
    model: Path, images: Path, count: int, seconds: float, ready: threading.Barrier
) -> list[float]:
    """Images/s of one process at each of the parts; all processes begin each part together."""
    classifier = load(model)
    network = open_network(
        classifier.backbone, resolution=classifier.metadata.resolution, workers=1
    )
    data = [path.read_bytes() for path in spread(images, count)]
    batches = [
        data[at : at + network.batch]
        for at in range(0, len(data) - network.batch + 1, network.batch)
    ]

    def decode(batch: Sequence[bytes]) -> NDArray[np.uint8]:
        return np.stack([image_pixels(one, classifier.resize) for one in batch])

    def infer(pixels: NDArray[np.uint8]) -> None:
        classifier.probabilities(network.run(pixels))

    pixels = decode(batches[0])
    infer(pixels)
    steps: list[Callable[[Sequence[bytes]], object]] = [
        decode,
        lambda _: infer(pixels),
        lambda batch: infer(decode(batch)),
    ]
    rates = []
    for step in steps:
        ready.wait()
        done, start = 0, time.perf_counter()
        while time.perf_counter() < start + seconds:
            step(batches[done % len(batches)])
            done += 1
        rates.append(done * network.batch / (time.perf_counter() - start))
    return rates
