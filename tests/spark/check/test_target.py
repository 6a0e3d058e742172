"""What the check of a target finds on a real cluster, good and bad."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import foveate
from foveate.errors import ClusterError
from foveate.spark.check import machines as probe_torch
from foveate.spark.check import target as probe
from foveate.spark.check.target import check_target
from foveate.spark.check.worker import Question, ask
from foveate.targets import Target
from support.spark_cluster import Cluster

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PythonOfWorkers = Callable[[str], None]


def answer(**values: Any) -> dict[str, Any]:
    """What a worker without faults says."""
    return {
        "host": "tiles-1",
        "executor": "0",
        "cores": 2,
        "threads": 1,
        "python": "3.11.7",
        "foveate": foveate.__version__,
        "problems": [],
    } | values


def test_another_version_is_the_only_finding() -> None:
    worker = probe._worker(answer(foveate="0.0.1", problems=["foveate cannot be used there: x"]))
    (problem,) = worker.problems
    assert problem == f"foveate 0.0.1 is installed there, {foveate.__version__} here"


def test_other_features_are_a_finding() -> None:
    features = list(probe._features_here())
    assert probe._worker(answer(features=features)).problems == ()
    assert probe._worker(answer(features=features[::-1])).problems
    assert probe._worker(answer(features=features[1:])).problems


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ('java.io.IOException: Cannot run program "/opt/py": error=2', "no Python at ‘/opt/py’"),
        ("[PYTHON_VERSION_MISMATCH] Python in worker has 3.9", "the same minor version"),
        ("Job aborted\njava.lang.SomeError: lost\n\tat org.x.Y", "java.lang.SomeError: lost"),
        ("nothing known", "nothing known"),
        ("", "RuntimeError"),
    ],
)
def test_a_failed_job_is_a_sentence(error: str, says: str) -> None:
    assert says in probe._why_no_answer(RuntimeError(error), "/opt/py")


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


def test_a_question_can_be_answered_anywhere(tmp_path: Path) -> None:
    (tmp_path / "driver").write_bytes(b"abc")
    said = ask(Question(str(tmp_path), {}, b"abc", 0.0), 3)
    assert said["problems"] == []
    assert (said["foveate"], said["partition"]) == (foveate.__version__, 3)
    assert (tmp_path / "worker-3").read_bytes() == b"cba"
    assert ask(Question(str(tmp_path), {}, b"xyz", 0.0), 3)["problems"]
    assert "cannot read" in ask(Question(str(tmp_path / "no"), {}, b"", 0.0), 3)["problems"][0]


def test_machines_meet_where_one_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = probe_torch.check_machines(Target(kind="torch", master=f"127.0.0.1:{port}"))
        assert f"Somebody listens at 127.0.0.1:{port}." in said.remarks
    said = probe_torch.check_machines(Target(kind="torch", master=f"127.0.0.1:{port}"))
    assert f"This machine is 127.0.0.1, and can listen on port {port}." in said.remarks


def test_machines_that_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_torch, "SECONDS_TO_CONNECT", 0.2)
    # 192.0.2.0/24 is for documentation: no machine has such an address.
    said = probe_torch.check_machines(Target(kind="torch", master="192.0.2.1:29400"))
    assert any("Nobody answers at 192.0.2.1:29400" in problem for problem in said.problems)
    for master in ("", "head", "head:x", ":1"):
        with pytest.raises(ClusterError, match="HOST:PORT"):
            check_target(Target(kind="torch", master=master))


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
