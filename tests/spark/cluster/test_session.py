"""Sessions on a real cluster: quiet, honest about what is not there, gone when they end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from foveate.errors import ClusterError, SettingsError
from foveate.spark.cluster.session import open_session, wait_for_executors
from foveate.targets import Target
from support.spark_cluster import Cluster

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port of this machine where nobody listens, and nobody else will."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def run_program(text: str, *, timeout: float = 200) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=timeout
    )


def test_an_unreachable_master_is_a_sentence(nobody: int) -> None:
    pytest.importorskip("pyspark", reason="needs the [spark] extra")
    start = time.monotonic()
    with (
        pytest.raises(ClusterError, match=rf"127\.0\.0\.1:{nobody} cannot be reached"),
        open_session(Target(master=f"spark://127.0.0.1:{nobody}")),
    ):
        pass
    assert time.monotonic() - start < 20


def test_a_target_for_refining_has_no_session() -> None:
    with pytest.raises(ClusterError, match="kind"), open_session(Target(kind="torch")):
        pass


def test_pyspark_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with (
        pytest.raises(ClusterError, match=r"pip install 'foveate\[spark\]'"),
        open_session(Target()),
    ):
        pass


def test_a_secret_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyspark", reason="needs the [spark] extra")
    monkeypatch.delenv("NOT_SET", raising=False)
    target = Target(storage_options={"abfs": {"account_key": "env:NOT_SET"}})
    with pytest.raises(SettingsError, match="NOT_SET is not set"), open_session(target):
        pass


def test_a_packed_environment_that_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("pyspark", reason="needs the [spark] extra")
    with socket.create_server(("127.0.0.1", 0)) as server:
        master = f"spark://127.0.0.1:{server.getsockname()[1]}"
        target = Target(master=master, environment=str(tmp_path / "no.tar.gz"))
        with pytest.raises(ClusterError, match="foveate target pack"), open_session(target):
            pass


@pytest.mark.slow
def test_all_cores_are_counted(session: SparkSession) -> None:
    assert session.sparkContext.defaultParallelism == 2
    assert session.range(0, 4, 1, 4).count() == 4
    assert wait_for_executors(session) == 2


@pytest.mark.slow
def test_a_session_that_is_there_is_used_and_left(session: SparkSession, cluster: Cluster) -> None:
    with open_session(Target(master="spark://elsewhere:7077")) as same:
        assert same.sparkContext is session.sparkContext
    assert session.range(3).count() == 3


@pytest.mark.slow
def test_a_cluster_without_a_free_core_is_a_sentence(
    session: SparkSession, cluster: Cluster
) -> None:
    done = run_program(f"""
from foveate.cli.console import remark
from foveate.errors import ClusterError
from foveate.spark.cluster import session
from foveate.targets import Target

session.SECONDS_FOR_EXECUTORS = 5
try:
    with session.open_session(Target.model_validate_json({cluster.target().model_dump_json()!r})):
        print("got one")
except ClusterError as error:
    print(error)
""")
    assert f"{cluster.master} has given no worker for 5 s" in done.stdout
    assert done.stderr == ""


@pytest.mark.slow
def test_what_ends_leaves_nothing(free_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSED", "hide-me-well")
    before = signal.getsignal(signal.SIGINT)
    variables = dict(os.environ)
    conf = {"spark.hadoop.fs.made.up.secret": "env:PASSED"}
    with open_session(free_cluster.target(conf=conf)) as session:
        said = session.sparkContext._jsc.hadoopConfiguration().get("fs.made.up.secret")
        assert said == "hide-me-well"
        jvms = [p for p in psutil.Process().children(recursive=True) if "SparkSubmit" in line(p)]
        assert jvms
        assert not any("hide-me-well" in line(p) for p in [*jvms, *free_cluster.executors()])
    assert not any(jvm.is_running() for jvm in jvms)
    assert signal.getsignal(signal.SIGINT) is before
    changed = {k for k in {*variables, *os.environ} if variables.get(k) != os.environ.get(k)}
    assert all(name.startswith("SPARK_") for name in changed)  # pyspark notes its buffer size
    assert not {"SPARK_HOME", "SPARK_LOCAL_IP"} & changed
    assert "hide-me-well" not in str(os.environ.get("PYSPARK_SUBMIT_ARGS"))


@pytest.mark.slow
def test_ctrl_c_stops_the_job_and_the_jvm(free_cluster: Cluster) -> None:
    program = f"""
import time
from foveate.spark.cluster.session import open_session
from foveate.targets import Target

def wait(rows):
    print("working", flush=True)
    time.sleep(300)
    yield from rows

target = Target.model_validate_json({free_cluster.target().model_dump_json()!r})
with open_session(target) as session:
    print("open", flush=True)
    session.sparkContext.parallelize(range(2), 2).mapPartitions(wait).collect()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "open\n"
        wait_for(lambda: len(free_cluster.python_workers()) == 2)
        children = psutil.Process(process.pid).children(recursive=True)
        assert any("SparkSubmit" in line(child) for child in children)
        os.killpg(process.pid, signal.SIGINT)  # as the terminal does: to all of the group
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGINT
    assert said.rstrip().endswith("KeyboardInterrupt")
    psutil.wait_procs(children, timeout=10)
    assert not any(child.is_running() for child in children)
    free_cluster.free()  # the master has its cores again, and no Python goes on waiting
    wait_for(lambda: not free_cluster.executors())


@pytest.mark.slow
def test_what_is_killed_comes_back_and_a_stopped_cluster_leaves_nothing(
    own_cluster: Cluster,
) -> None:
    with open_session(own_cluster.target(), name="killed") as session:
        rows = session.sparkContext.parallelize(range(8), 8)
        assert rows.map(lambda row: row + 1).sum() == 36
        assert own_cluster.memory() > 100e6
        own_cluster.kill_python_worker()
        assert rows.map(lambda row: row + 1).sum() == 36
        own_cluster.kill_executor()
        assert rows.map(lambda row: row + 1).sum() == 36
        own_cluster.kill_worker()
        assert len(own_cluster.workers) == 1
        assert rows.map(lambda row: row + 1).sum() == 36
        own_cluster.start_workers(1)
        assert len(own_cluster.workers) == 2
    assert len(own_cluster.processes()) >= 3
    own_cluster.stop()
    assert own_cluster.processes() == []


def line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def wait_for(condition: Any) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
