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
from foveate.spark import bulk

SOURCE = DATA / "ucmerced"
IMAGES = 2_000
PLAIN_IMAGES = 600
ROUNDS = 3


def main() -> Result:
    """Everything on one cluster, the ways in turns."""
    with scratch() as folder, cluster_of_two() as cluster:
        model = folder / "model.onnx"
        foveate("train", SOURCE, "--out", model, "--limit", 600, "--json", cache=folder / "train")
        labels, difference, features = _parity(folder, cluster, model)
        rates = _rates(folder, cluster)
        local = _local(folder)
        one = _one_worker(folder, cluster)
    ours, plain, better, start_up = rates
    both, alone = median(ours), median(one)
    return Result(
        "Spark: the same answers, and how fast",
        [
            f"A standalone cluster on loopback, two workers of one core each; {SOURCE.name}, "
            f"{IMAGES} images for parity and for foveate's rates, the median of {ROUNDS}. The "
            f"plain way: `binaryFile`, `mapInPandas`, Pillow, PyTorch eager, the same network "
            f"and weights, {PLAIN_IMAGES} images.",
            f"images/s: foveate on the cluster {both:.0f} ({', '.join(f'{r:.0f}' for r in ours)}), "
            f"on one worker {alone:.0f}, on the same two cores without Spark {median(local):.0f}; "
            f"plain {plain:.1f}, plain with channels last and bfloat16 {better:.1f}. "
            f"Start-up of session, workers and network: {start_up:.1f} s.",
        ],
        [
            Bar("other labels than locally", labels, "", 0, at_least=False),
            Bar("probabilities, largest difference", difference, "", 1e-3, at_least=False),
            Bar("features, largest relative difference", features, "", 1e-3, at_least=False),
            Bar("rate over Spark's plain way", both / plain, "×", 4, at_least=True),
            Bar(
                "overhead over the local engine",
                100 * (median(local) / both - 1),
                "%",
                15,
                at_least=False,
            ),
            Bar("two workers over one", both / alone, "×", 1.8, at_least=True),
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


def _rates(folder: Path, cluster: Cluster) -> tuple[list[float], float, float, float]:
    """Ours, the plain way's two, and the seconds of our start-up."""
    images = _some(folder / "plain", PLAIN_IMAGES)
    few = _some(folder / "few", 16)
    ours = []
    start = time.perf_counter()
    with application(cluster) as session:
        bulk.featurize(few, target=cluster.target(), out=folder / "warm")
        start_up = time.perf_counter() - start
        plain_featurize(session, few, folder / "warm-plain", better=False)
        times: dict[bool, float] = {}
        for number in range(ROUNDS):
            done = bulk.featurize(
                SOURCE, target=cluster.target(), out=folder / f"o{number}", limit=IMAGES
            )
            ours.append(done.images_per_second or 0.0)
            if number < 2:
                better = bool(number)
                times[better] = plain_featurize(
                    session, images, folder / f"plain{number}", better=better
                )
    return ours, PLAIN_IMAGES / times[False], PLAIN_IMAGES / times[True], start_up


def _some(folder: Path, count: int) -> Path:
    """A folder of some of the images."""
    every = sorted(SOURCE.rglob("*.jpg"))
    for path in every[:: max(len(every) // count, 1)][:count]:
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / path.parent.name / path.name)
    return folder


def _local(folder: Path) -> list[float]:
    found = []
    for number in range(ROUNDS):
        done = foveate(
            "featurize",
            SOURCE,
            "--out",
            folder / f"x{number}.parquet",
            "--limit",
            IMAGES,
            "--json",
            cache=folder / f"local{number}",
        )
        found.append(float(done.json["images_per_second"]))
    return found


def _one_worker(folder: Path, cluster: Cluster) -> list[float]:
    few = _some(folder / "few1", 16)
    found = []
    with application(cluster, cores=1):
        bulk.featurize(few, target=cluster.target(), out=folder / "warm1")
        for number in range(2):
            out = folder / f"one{number}"
            done = bulk.featurize(SOURCE, target=cluster.target(), out=out, limit=IMAGES)
            found.append(done.images_per_second or 0.0)
    return found
