"""What the run history costs: beside a training, and to list a thousand runs."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from unittest.mock import patch

from benchmarks.common import DATA, Bar, Finished, Result, foveate, median, run, scratch
from foveate.history import Place, Record, tracking

SOURCE = DATA / "fashion_texture"
ROUNDS, RUNS = 5, 1000


def main() -> Result:
    """Train with and without history in turns; list many runs."""
    with scratch() as folder:
        added, plain = _added(folder)
        _fill(folder / "many")
        with patch.dict(os.environ, FOVEATE_HISTORY=str(folder / "many")):
            listed = median([foveate("runs", "list").seconds for _ in range(ROUNDS)])
            client = median([_ask_mlflow(folder / "many").seconds for _ in range(ROUNDS)])
    return Result(
        "Run history",
        [
            f"`foveate train {SOURCE.name}` with its features in the cache, with and without "
            f"history in turns, {ROUNDS} rounds: median of the differences of whole commands "
            f"({plain:.1f} s without). Then `foveate runs list` over {RUNS:,} runs of 60 metrics "
            f"and 45 settings in one `runs.db`; MLflow's own client needs {client:.1f} s for them."
        ],
        [
            Bar("what history adds to a training", added, "s", 2, at_least=False),
            Bar(f"`foveate runs list` of {RUNS:,} runs", listed, "s", 2, at_least=False),
        ],
    )


def _added(folder: Path) -> tuple[float, float]:
    """Seconds that history adds, and seconds of a training without it."""
    cache = folder / "cache"
    where = {"off": "off", "on": str(folder / "history")}
    took: dict[str, list[float]] = {name: [] for name in where}
    foveate("train", SOURCE, "--out", folder / "m.onnx", cache=cache)
    for number in range(ROUNDS):
        for name in list(where)[:: 1 if number % 2 else -1]:
            with patch.dict(os.environ, FOVEATE_HISTORY=where[name]):
                out = folder / "m.onnx"
                took[name].append(foveate("train", SOURCE, "--out", out, cache=cache).seconds)
            time.sleep(3)  # what is still sent belongs to the run before
    differences = [a - b for a, b in zip(took["on"], took["off"], strict=True)]
    return median(differences), median(took["off"])


def _fill(folder: Path) -> None:
    folder.mkdir()
    place = Place(folder, f"sqlite:///{folder / 'runs.db'}", "foveate")
    with tracking.connected(place, patient=True) as client:
        for number in range(RUNS):
            record = Record(
                id=f"{number:032x}",
                kind="train",
                name=f"20261121-000000-svm-{number:04x}",
                source="photos",
                started=1_700_000_000.0 + number,
                status="finished",
                ended=1_700_000_005.0 + number,
                settings={f"setting_{i}": "a value" for i in range(45)},
                metrics={"accuracy": 0.9} | {f"class.label {i}.accuracy": 0.9 for i in range(59)},
                tags={f"fact_{i}": "a value" for i in range(15)},
            )
            tracking.send(client, place, record, folder / "none")


def _ask_mlflow(folder: Path) -> Finished:
    code = (
        "from mlflow.tracking import MlflowClient as C;"
        f"c = C('sqlite:///{folder / 'runs.db'}');"
        "print(len(c.search_runs([c.get_experiment_by_name('foveate').experiment_id],"
        "max_results=1000)))"
    )
    return run(sys.executable, "-c", code)
