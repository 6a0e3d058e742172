"""A real Spark cluster on loopback: a master and two workers of one core each.

    def test_with_a_session(session): ...            # the shared SparkSession on the cluster
    def test_of_a_command(free_cluster): ...         # `python -m foveate … --target` in a process

An application takes all cores of a standalone cluster for as long as it runs, and a process has one
session. So there is one shared session for the tests of this process, which is opened when a test
first wants it and stays; `free_cluster` stops it and hands over a cluster with both cores free,
and the next test that asks for `session` opens it again (10 s). Verbs that are called in this
process while the shared session runs use it. A test that kills something takes `own_cluster`.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import psutil
import pytest

from foveate.targets import Target

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SECONDS_TO_START = 90.0
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
SMALL_JVM = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"


class Cluster:
    """A standalone cluster; make one with `running_cluster`.

    Attributes:
        master: its address, `spark://…`.
        workers: process ids of the workers that were started and not killed.
        shared: the one that the tests of this run share, while it runs.
    """

    shared: ClassVar[Cluster | None] = None

    def __init__(self, folder: Path) -> None:
        from foveate.spark.cluster.java import find_java

        self._folder = folder
        self._java = find_java()
        self._seen: set[psutil.Process] = set()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._session: SparkSession | None = None
        self._open = ExitStack()
        self.workers: list[int] = []
        log = folder / "master.log"
        self._run(log, "master.Master", "--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
        self.master = _logged(log, r"Starting Spark master at (spark://\S+)")
        self.page = _logged(log, r"MasterWebUI.* started at (http://\S+)").rstrip("/")

    def target(self, **values: Any) -> Target:
        """A target of this cluster, for small JVMs; `conf` is added to."""
        conf = {
            "spark.driver.memory": "1g",
            "spark.driver.extraJavaOptions": SMALL_JVM,
            "spark.executor.extraJavaOptions": SMALL_JVM,
        }
        conf |= values.pop("conf", {})
        return Target.model_validate(
            {"master": self.master, "memory": "1g", "conf": conf, "python": sys.executable} | values
        )

    def toml(self, name: str = "here", **values: str | int) -> str:
        """The target as a table of `foveate.toml`."""
        target = self.target()
        plain = {"master": target.master, "memory": target.memory, "python": target.python} | values
        lines = [f"[targets.{name}]", *(f"{key} = {json.dumps(v)}" for key, v in plain.items())]
        lines += [f"[targets.{name}.conf]"]
        lines += [f"{json.dumps(key)} = {json.dumps(v)}" for key, v in target.conf.items()]
        return "\n".join(lines) + "\n"

    def start_workers(self, count: int = 1) -> list[int]:
        """Start more workers of one core each and wait until the master knows them.

        Returns:
            Their process ids.
        """
        wanted = len(self._alive()) + count
        pids = []
        for number in range(len(self._processes), len(self._processes) + count):
            process = self._run(
                self._folder / f"worker-{number}.log",
                "worker.Worker",
                *("--cores", "1", "--memory", "2g", "--host", "127.0.0.1", "--webui-port", "0"),
                *("--work-dir", str(self._folder / f"worker-{number}"), self.master),
            )
            pids.append(process.pid)
        _wait(lambda: len(self._alive()) >= wanted, "the workers did not register")
        self.workers += pids
        return pids

    def session(self) -> SparkSession:
        """The shared session on this cluster, opened where it is not open."""
        if self._session is None or self._session.sparkContext._jsc is None:
            from foveate.spark.cluster.session import open_session

            self.free()
            self._session = self._open.enter_context(open_session(self.target(), name="tests"))
        return self._session

    def free(self) -> None:
        """Stop the shared session and wait until all cores are free."""
        self._open.close()
        self._session = None
        _wait(lambda: not self._state()["activeapps"], "an application holds the cores")

    def executors(self) -> list[psutil.Process]:
        """The JVMs of executors."""
        return [p for p in self._tree() if "CoarseGrainedExecutorBackend" in _command(p)]

    def python_workers(self) -> list[psutil.Process]:
        """The Python processes that work on partitions (not the daemons that fork them)."""
        tree = [p for p in self._tree() if "pyspark.daemon" in _command(p)]
        daemons = {p.pid for p in tree}
        return [p for p in tree if p.ppid() in daemons]

    def memory(self) -> int:
        """Bytes of memory (RSS) that executors and their Python processes take together."""
        total = 0
        for executor in self.executors():
            for process in (executor, *executor.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
        return total

    def kill_worker(self, pid: int | None = None) -> None:
        """SIGKILL a worker (the last one), as if its machine were gone: with all it started."""
        pid = self.workers[-1] if pid is None else pid
        self._tree()
        self.workers.remove(pid)
        worker = psutil.Process(pid)
        for process in (worker, *worker.children(recursive=True)):
            _kill(process)
        self._processes[pid].wait()

    def kill_executor(self) -> int:
        """SIGKILL the JVM of an executor; the worker starts another. Returns its process id."""
        return _killed(self.executors, self._tree)

    def kill_python_worker(self) -> int:
        """SIGKILL a Python process that works on a partition. Returns its process id."""
        return _killed(self.python_workers, self._tree)

    def processes(self) -> list[psutil.Process]:
        """Every process of this cluster that still runs."""
        self._tree()
        return [process for process in self._seen if _runs(process)]

    def stop(self) -> None:
        """Stop everything; nothing stays behind."""
        self._open.close()
        self._tree()
        for process in self._processes.values():
            process.terminate()
        _, slow = psutil.wait_procs(list(self._seen), timeout=10)
        for straggler in slow:
            _kill(straggler)
        for process in self._processes.values():
            process.wait()

    def _run(self, log: Path, kind: str, *arguments: str) -> subprocess.Popen[bytes]:
        from pyspark.find_spark_home import _find_spark_home

        home = _find_spark_home()
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SPARK_", "PYSPARK_", "PYTEST_", "FOVEATE_"))
        } | {
            "JAVA_HOME": str(self._java),
            "SPARK_HOME": home,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(self._folder / "local"),
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_DAEMON_JAVA_OPTS": SMALL_JVM,
            "FOVEATE_CACHE": str(self._folder / "cache"),
            "FOVEATE_HISTORY": "off",
        }
        with log.open("wb") as file:
            process = subprocess.Popen(
                [f"{home}/bin/spark-class", f"org.apache.spark.deploy.{kind}", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=environment,
                cwd=self._folder,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self._processes[process.pid] = process
        return process

    def _tree(self) -> list[psutil.Process]:
        """What runs below the processes that were started; remembered, for orphans' sake."""
        found = []
        for process in self._processes.values():
            if process.poll() is None:
                parent = psutil.Process(process.pid)
                found += [parent, *parent.children(recursive=True)]
        self._seen |= set(found)
        return found

    def _state(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.page}/json/", timeout=10) as page:
            state: dict[str, Any] = json.load(page)
        return state

    def _alive(self) -> list[dict[str, Any]]:
        return [worker for worker in self._state()["workers"] if worker["state"] == "ALIVE"]


@contextmanager
def running_cluster(folder: Path, workers: int = 2) -> Iterator[Cluster]:
    """A cluster of some workers of one core each, stopped at the end.

    Args:
        folder: for logs and for what the workers write; of this cluster alone.
        workers: how many.
    """
    cluster = Cluster(folder)
    try:
        cluster.start_workers(workers)
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster that all tests of this run share; see the top of this file for who may what."""
    pytest.importorskip("pyspark", reason="needs the [spark] extra")
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        Cluster.shared = running
        yield running
    Cluster.shared = None


@pytest.fixture
def session(cluster: Cluster) -> SparkSession:
    """The shared session on the cluster, with both cores; leave it running."""
    shared = cluster.session()
    assert len(cluster.workers) == 2, "a test that kills workers needs `own_cluster`"
    return shared


@pytest.fixture
def free_cluster(cluster: Cluster) -> Cluster:
    """The cluster with both cores free, for commands in processes of their own."""
    cluster.free()
    return cluster


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of two workers for one test, which may kill what it likes.

    The shared session is stopped, so that `open_session` opens one on this cluster.
    """
    pytest.importorskip("pyspark", reason="needs the [spark] extra")
    if Cluster.shared is not None:
        Cluster.shared.free()
    folder = tmp_path / "cluster"
    folder.mkdir()
    with running_cluster(folder) as running:
        yield running


def _die_with_parent() -> None:
    """Let the kernel end a process whose parent was killed (Linux; elsewhere it stays)."""
    if _LIBC is not None:
        _LIBC.prctl(1, signal.SIGKILL)


def _killed(candidates: Callable[[], list[psutil.Process]], remember: Callable[[], object]) -> int:
    _wait(lambda: bool(candidates()), "there is no such process to kill")
    victim = candidates()[0]
    remember()
    _kill(victim)
    return victim.pid


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _logged(log: Path, pattern: str) -> str:
    def found() -> re.Match[str] | None:
        return re.search(pattern, log.read_text(errors="replace"))

    _wait(lambda: found() is not None, f"‘{pattern}’ is not in {log}")
    match = found()
    assert match
    return match[1]


def _wait(condition: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while not condition():
        assert time.monotonic() < end, otherwise
        time.sleep(0.1)
