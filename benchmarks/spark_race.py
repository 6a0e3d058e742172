"""Featurize and score on a real Spark cluster: parity, speed, overhead, workers.

Two workers of one core each, on loopback. Start-up (the session, the Python workers, compiling
the network) is left out of every rate, ours and theirs, by a small job before; how long it takes
is said.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.common import DATA, Bar, Result, foveate, median, scratch
from benchmarks.spark_cluster import Cluster, application, cluster_of_two
from benchmarks.spark_plain import plain_featurize
from foveate.classifier import load_classifier
from foveate.predictions import read_predictions
from foveate.spark.jobs import bulk

SOURCE = DATA / "ucmerced"
IMAGES = 2_000
FILES = 3
"""So many files of each image where rates are measured, so that a run takes half a minute."""
PLAIN_IMAGES = 600
ROUNDS = 3


def main() -> Result:
    """Everything on one cluster, the ways in turns."""
    with scratch() as folder, cluster_of_two() as cluster:
        model = folder / "model.onnx"
        foveate("train", SOURCE, "--out", model, "--limit", 600, "--json", cache=folder / "train")
        labels, difference, features = _parity(folder, cluster, model)
        plain = _plain(folder, cluster, better=False)
        better = _plain(folder, cluster, better=True)
        images = _named(folder / "images")
        local, one, two, start_up = [], [], [], []
        for number in range(ROUNDS):  # in turns: the machine's speed drifts
            local.append(_local(folder, images, number))
            for cores, rates in ((2, two), (1, one)):
                rate, seconds = _on_cluster(folder, cluster, images, f"{number}-{cores}", cores)
                rates.append(rate)
                start_up.append(seconds)
    overhead = median([100 * (here / there - 1) for here, there in zip(local, two, strict=True)])
    scaling = median([both / alone for both, alone in zip(two, one, strict=True)])
    return Result(
        "Spark: the same answers, and how fast",
        [
            f"A standalone cluster on loopback, two workers of one core each; {SOURCE.name}, "
            f"{IMAGES} images for parity. The "
            f"plain way: `binaryFile`, `mapInPandas`, Pillow, PyTorch eager, the same network "
            f"and weights, {PLAIN_IMAGES} images.",
            f"images/s, {FILES} files of each image, {ROUNDS} rounds in turns: without Spark "
            f"{_shown(local)}; on two workers {_shown(two)}; on one {_shown(one)}; the plain way "
            f"{plain:.1f}, with channels last and bfloat16 {better:.1f}. Start-up of session, "
            f"workers and network: {median(start_up):.0f} s.",
        ],
        [
            Bar("other labels than locally", labels, "", 0, at_least=False),
            Bar("probabilities, largest difference", difference, "", 1e-3, at_least=False),
            Bar("features, largest relative difference", features, "", 1e-3, at_least=False),
            Bar("rate over Spark's plain way", median(two) / plain, "×", 4, at_least=True),
            Bar("overhead over the local engine", overhead, "%", 15, at_least=False),
            Bar("two workers over one", scaling, "×", 1.8, at_least=True),
        ],
    )


def _parity(folder: Path, cluster: Cluster, model: Path) -> tuple[float, float, float]:
    cache = folder / "parity"
    classifier = load_classifier(model)
    with application(cluster):
        bulk.score(
            classifier, SOURCE, target=cluster.target(), out=folder / "p.parquet", limit=IMAGES
        )
        bulk.featurize(SOURCE, target=cluster.target(), out=folder / "f.parquet", limit=IMAGES)
    foveate("score", model, SOURCE, "--out", folder / "l.parquet", "--limit", IMAGES, cache=cache)
    foveate("featurize", SOURCE, "--out", folder / "g.parquet", "--limit", IMAGES, cache=cache)
    there, here = read_predictions(folder / "p.parquet"), read_predictions(folder / "l.parquet")
    where = {path: row for row, path in enumerate(there.paths)}
    there = there.take([where[path] for path in here.paths])
    labels = sum(a != b for a, b in zip(there.predicted, here.predicted, strict=True))
    difference = float(np.abs(there.probabilities - here.probabilities).max())
    one, other = (pq.read_table(folder / name) for name in ("f.parquet", "g.parquet"))
    found = dict(zip(one["path"].to_pylist(), np.stack(one["features"].to_numpy()), strict=True))
    pairs = [
        (found[path], values)
        for path, values in zip(
            other["path"].to_pylist(), np.stack(other["features"].to_numpy()), strict=True
        )
    ]
    features = max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)
    return float(labels), difference, features


def _plain(folder: Path, cluster: Cluster, *, better: bool) -> float:
    """Images a second of Spark's plain way."""
    images = _some(folder / f"plain-{better}", PLAIN_IMAGES)
    few = _some(folder / f"few-{better}", 16)
    with application(cluster) as session:
        plain_featurize(session, few, folder / "out-few", better=better)
        return PLAIN_IMAGES / plain_featurize(session, images, folder / "out", better=better)


def _on_cluster(
    folder: Path, cluster: Cluster, images: Path, name: str, cores: int
) -> tuple[float, float]:
    """Images a second on so many workers, and the seconds until they were ready."""
    few = _some(folder / f"few-{name}", 16)
    start = time.perf_counter()
    with application(cluster, cores):
        bulk.featurize(few, target=cluster.target(), out=folder / f"warm-{name}")
        ready = time.perf_counter() - start
        done = bulk.featurize(images, target=cluster.target(), out=folder / f"out-{name}")
    shutil.rmtree(folder / f"out-{name}")
    return done.images_per_second or 0.0, ready


def _some(folder: Path, count: int) -> Path:
    """A folder of some of the images."""
    every = sorted(SOURCE.rglob("*.jpg"))
    for path in every[:: max(len(every) // count, 1)][:count]:
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / path.parent.name / path.name)
    return folder


def _named(folder: Path) -> Path:
    """A folder of all images, several files of each."""
    for path in SOURCE.rglob("*.jpg"):
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        for number in range(FILES):
            # A byte after the image makes it another file, which no cache knows.
            data = path.read_bytes() + bytes([number])
            (folder / path.parent.name / f"{path.stem}-{number}.jpg").write_bytes(data)
    return folder


def _local(folder: Path, images: Path, number: int) -> float:
    words = ["featurize", images, "--out", folder / "local.parquet", "--json"]
    return float(foveate(*words, cache=folder / f"local{number}").json["images_per_second"])


def _shown(rates: list[float]) -> str:
    return f"{median(rates):.0f} ({', '.join(f'{rate:.0f}' for rate in rates)})"
