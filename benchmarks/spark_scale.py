"""Tiles by the ten thousand, through the command line on a real cluster: time and memory.

Tiles are those of eurosat_5k under new names. 30,000 of them are scored as they are meant to be, at
224 px; 200,000 by a classifier of 64 px, which is quicker: memory is what counts there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.common import DATA, Bar, Result, foveate, scratch
from benchmarks.spark_cluster import Cluster, cluster_of_two
from foveate.predictions import read_predictions

SOURCE = DATA / "eurosat_5k"
COUNTIES = {30_000: 224, 200_000: 64}
"""How many tiles, and the resolution of the classifier."""
SECONDS_BETWEEN_LOOKS = 2.0
MOST_GROWTH = 1.1


@dataclass
class Memory:
    """Bytes over time: the driver (Python and JVM), the executors with their Python workers."""

    driver: list[int] = field(default_factory=list)
    workers: list[int] = field(default_factory=list)

    def growth(self, which: str) -> float:
        """The peak of the last quarter over that of the second: the first is start-up."""
        seen = [value for value in getattr(self, which) if value]
        quarter = max(len(seen) // 4, 1)
        return max(seen[-quarter:]) / max(seen[quarter : 2 * quarter])

    def peak(self, which: str) -> float:
        """In MiB."""
        return float(max(getattr(self, which))) / 2**20


def main() -> Result:
    """Score both sets."""
    rows: list[list[str]] = []
    bars: list[Bar] = []
    with scratch() as folder, cluster_of_two() as cluster:
        (folder / "foveate.toml").write_text(cluster.toml())
        for tiles, resolution in COUNTIES.items():
            model = folder / f"m{resolution}.onnx"
            words = ["--resolution", resolution, "--limit", 1500, "--json"]
            foveate("train", SOURCE, "--out", model, *words, cache=folder / "cache")
            images = _tiles(folder, tiles)
            result, memory = _score(cluster, folder, model, images)
            found = read_predictions(folder / f"out-{images.name}")
            if len(found.paths) != tiles or len(set(found.paths)) != tiles:
                raise AssertionError("rows are missing, or there twice")
            seconds = sum(result["seconds"].values())
            rows.append(
                [
                    f"{tiles:,}",
                    str(resolution),
                    f"{seconds:.0f}",
                    f"{result['images_per_second']:.0f}",
                    f"{memory.peak('driver'):.0f}",
                    f"{memory.peak('workers'):.0f}",
                    f"{result['worker_megabytes']}",
                ]
            )
            print(rows[-1], flush=True)
            if tiles == max(COUNTIES):
                bars = [
                    Bar(
                        f"memory of the {which}, last quarter over second, {tiles:,} tiles",
                        memory.growth(which),
                        "×",
                        MOST_GROWTH,
                        at_least=False,
                    )
                    for which in ("driver", "workers")
                ]
    header = ["tiles", "px", "seconds in all", "images/s", "driver MiB", "workers MiB"]
    return Result(
        "Spark: tiles by the ten thousand",
        [
            f"Tiles of {SOURCE.name} (64 px) under new names, `foveate score --target`, two "
            "workers of one core each, on loopback; every tile is in the result once. Driver: "
            "Python and its JVM. Workers: both executors' JVMs and Python workers together.",
        ],
        bars,
        [[*header, "largest Python worker MiB"], *rows],
    )


def _tiles(folder: Path, count: int) -> Path:
    """A folder of so many names for the tiles that there are."""
    originals = folder / "originals"
    if not originals.is_dir():
        shutil.copytree(SOURCE, originals, ignore=shutil.ignore_patterns("*.md"))
    every = sorted(originals.rglob("*.jpg"))
    images = folder / f"tiles-{count}"
    images.mkdir()
    for number in range(count):
        path = every[number % len(every)]
        part = images / f"{number // 1000:04}"
        part.mkdir(exist_ok=True)
        os.link(path, part / f"{number:07}.jpg")
    return images


def _score(
    cluster: Cluster, folder: Path, model: Path, images: Path
) -> tuple[dict[str, float], Memory]:
    command = [sys.executable, "-m", "foveate", "score", str(model), str(images)]
    command += ["--out", f"out-{images.name}", "--target", "here", "--json"]
    environment = {**os.environ, "FOVEATE_HISTORY": "off"}
    memory, over = Memory(), threading.Event()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )

    def look() -> None:
        while not over.wait(SECONDS_BETWEEN_LOOKS):
            memory.driver.append(_resident(process.pid))
            memory.workers.append(cluster.memory())

    thread = threading.Thread(target=look)
    thread.start()
    printed, _ = process.communicate()
    over.set()
    thread.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {printed.decode()}")
    return json.loads(printed), memory


def _resident(pid: int) -> int:
    try:
        process = psutil.Process(pid)
        return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))
    except psutil.Error:
        return 0
