"""What the check of a target finds on a real cluster, good and bad."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import foveate
from foveate.spark.check import target as probe
from foveate.spark.check.target import check_target
from foveate.targets import Target
from support.spark_cluster import Cluster

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PythonOfWorkers = Callable[[str], None]


def test_secrets_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "hide-me-well")
    target = Target(
        storage_options={"s3": {"key": "env:KEY", "endpoint_url": "http://127.0.0.1:1"}},
        conf={"spark.authenticate.secret": "env:KEY"},
    )
    hidden = probe._secrets(target)
    assert set(hidden) == {"hide-me-well"}
    text = probe._hide("403 for hide-me-well at https://a/b?sig=x from http://127.0.0.1:1", hidden)
    assert text == "403 for … at https://a/b?… from http://127.0.0.1:1"


@pytest.fixture
def python_of_workers(
    session: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> PythonOfWorkers:
    """Lets the shared session's workers start a shell script as their Python."""

    def use(script: str) -> None:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(session.sparkContext, "pythonExec", str(path))

    return use


@pytest.mark.slow
def test_all_is_right(session: SparkSession, cluster: Cluster, tmp_path: Path) -> None:
    found = check_target(cluster.target(storage=str(tmp_path / "storage")))
    assert found.problems == ()
    assert found.remarks == ()
    assert found.master == cluster.master
    assert found.cores == 2
    assert [worker.executor for worker in found.workers] == ["0", "1"]
    for worker in found.workers:
        assert (worker.cores, worker.threads, worker.foveate) == (1, 1, foveate.__version__)
        assert worker.host == socket.gethostname()
        assert worker.runtime in ("openvino", "onnxruntime")
        assert worker.location == foveate.__file__
    assert list((tmp_path / "storage").iterdir()) == []  # all removed


@pytest.mark.slow
def test_a_storage_of_its_own_is_found_out(session: SparkSession, cluster: Cluster) -> None:
    found = check_target(cluster.target(storage="memory://work"))
    assert len(found.problems) == 2
    assert all("cannot read the storage" in problem for problem in found.problems)
    assert check_target(cluster.target()).remarks != ()


@pytest.mark.slow
def test_a_worker_without_foveate(
    session: SparkSession, cluster: Cluster, python_of_workers: PythonOfWorkers
) -> None:
    python_of_workers(f'exec "{sys.executable}" -S "$@"')
    found = check_target(cluster.target())
    assert [worker.foveate for worker in found.workers] == [None, None]
    assert len(found.problems) == 2
    assert all("foveate is not installed there." in problem for problem in found.problems)


@pytest.mark.slow
def test_a_worker_with_another_foveate(
    session: SparkSession, cluster: Cluster, python_of_workers: PythonOfWorkers, tmp_path: Path
) -> None:
    (tmp_path / "foveate").mkdir()
    (tmp_path / "foveate" / "__init__.py").write_text('__version__ = "0.0.1"\n')
    python_of_workers(f'PYTHONPATH="{tmp_path}:$PYTHONPATH" exec "{sys.executable}" "$@"')
    found = check_target(cluster.target())
    assert len(found.problems) == 2
    assert all("foveate 0.0.1 is installed there" in problem for problem in found.problems)


@pytest.mark.slow
def test_workers_without_python(
    session: SparkSession, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session.sparkContext, "pythonExec", "/nowhere/python")
    found = check_target(cluster.target())
    assert found.workers == ()
    (problem,) = found.problems
    assert "no Python at ‘/nowhere/python’" in problem
