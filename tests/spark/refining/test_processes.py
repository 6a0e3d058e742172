"""A network refined on a real cluster: two processes, one result, on record here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from foveate.classifier import load_classifier
from foveate.errors import SettingsError
from foveate.history import artifact, find_place, find_run, list_runs
from foveate.history.outbox import waiting
from foveate.history.tracking import connected
from foveate.predictions import read_predictions
from foveate.spark.refining import processes as refining
from foveate.targets import Target
from support.spark_cluster import Cluster


@pytest.mark.parametrize(
    ("values", "cpus"),
    [
        ({}, None),
        ({"cores": 4}, "4"),
        ({"cores": 4, "conf": {"spark.executor.resource.gpu.amount": "2"}}, "2"),
        ({"cores": 1, "conf": {"spark.executor.resource.gpu.amount": "2"}}, "1"),
        ({"cores": 4, "conf": {"spark.task.cpus": "3"}}, "3"),
    ],
)
def test_a_process_has_the_cores_of_its_executor(values: dict[str, Any], cpus: str | None) -> None:
    target = refining._one_task_an_executor(Target.model_validate(values))
    assert target.conf.get("spark.task.cpus") == cpus


def session_of(cores: int, executors: int, **conf: str) -> Any:
    known = {f"spark.{name.replace('_', '.')}": value for name, value in conf.items()}
    status = SimpleNamespace(size=lambda: executors + 1)
    java = SimpleNamespace(sc=lambda: SimpleNamespace(getExecutorMemoryStatus=lambda: status))
    return SimpleNamespace(
        sparkContext=SimpleNamespace(
            defaultParallelism=cores, getConf=lambda: known, _jsc=java, master="spark://x:1"
        )
    )


GPUS = {"task_resource_gpu_amount": "1", "executor_resource_gpu_amount": "2"}


@pytest.mark.parametrize(
    ("cores", "executors", "conf", "device", "expected"),
    [
        (2, 2, {}, "auto", (2, False)),
        (16, 4, {"task_cpus": "4"}, "auto", (4, False)),
        (3, 1, {"task_cpus": "4"}, "cpu", (1, False)),
        (16, 4, {"task_cpus": "2", **GPUS}, "auto", (8, True)),
        (16, 4, {**GPUS}, "cuda", (8, True)),  # two a machine, whatever its cores
        (3, 2, {**GPUS}, "cuda", (3, True)),
        (16, 4, {**GPUS}, "cpu", (16, False)),
    ],
)
def test_as_many_processes_as_places(
    cores: int, executors: int, conf: dict[str, str], device: str, expected: tuple[int, bool]
) -> None:
    assert refining._places(session_of(cores, executors, **conf), device) == expected


@pytest.mark.parametrize(("device", "said"), [("cuda", "no GPUs"), ("cuda:1", "single GPU")])
def test_gpus_that_nobody_hands_out(device: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        refining._places(session_of(2, 2), device)


def test_only_what_is_for_people_is_shown() -> None:
    shown = StringIO()
    stream = refining._OnlyOurs(shown, quiet=False)
    stream.write("W1121 torchrun says something\n")
    stream.write(f"{refining.OURS}refine: 40 of 80\nnoise\n")
    assert shown.getvalue() == "refine: 40 of 80\n"
    refining._OnlyOurs(shown, quiet=True).write(f"{refining.OURS}refine: 80 of 80\n")
    assert shown.getvalue() == "refine: 40 of 80\n"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
def test_two_workers_refine_together(
    free_cluster: Cluster, patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="needs the [refine] extra")
    pytest.importorskip("timm", reason="needs the [refine] extra")
    monkeypatch.setenv("FOVEATE_HISTORY", str(tmp_path / "history"))
    storage = tmp_path / "storage"
    (tmp_path / "foveate.toml").write_text(free_cluster.toml(storage=str(storage)))
    words = [sys.executable, "-m", "foveate", "refine", str(patterns), "--target", "here", "--json"]
    words += ["--epochs", "2", "--resolution", "64", "--out", "m.onnx"]
    words += ["--set", "minibatch=8", "--set", "precision=float32"]
    done = subprocess.run(
        words, cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert "2 processes of the cluster refine together." in done.stderr
    assert "do not share" not in done.stderr
    assert "Traceback" not in done.stderr
    assert (result["processes"], result["target"]) == (2, "here")
    assert result["accuracy"] > 0.6
    assert result["model"] == "m.onnx"
    classifier = load_classifier(tmp_path / "m.onnx")
    assert classifier.predict(patterns / "dots" / "0.png").label == "dots"
    assert "<html" in (tmp_path / "m.html").read_text()
    # What a killed training goes on from was in the shared folder, and is not needed any more.
    assert list((storage / "cache" / "sources").glob("*/refine/*.pt")) == []
    assert list((storage / "cache" / "features").iterdir())

    place = find_place()
    assert place is not None
    deadline = time.monotonic() + 60
    while waiting(place.outbox) and time.monotonic() < deadline:
        time.sleep(0.1)
    run = find_run(list_runs(place), "last")
    assert (run.status, run.name) == ("finished", result["run"])
    assert run.settings["target"] == "here"
    assert run.tags["cluster.processes"] == "2"
    assert run.metrics["accuracy"] == pytest.approx(result["accuracy"])
    losses = [epoch["loss"] for epoch in result["refinement"]["learning"]]
    assert run.mlflow_id is not None
    with connected(place, patient=True) as client:
        points = client.get_metric_history(run.mlflow_id, "epoch.loss")
    assert [point.value for point in sorted(points, key=lambda p: p.step)] == pytest.approx(losses)
    predictions = read_predictions(artifact(place, run, "predictions.parquet"))
    assert len(predictions.paths) == sum(one["n"] for one in result["per_class"].values())
    there = json.loads(artifact(place, run, "result.json").read_text())
    assert there["per_class"] == result["per_class"]
