"""A Spark session on a target: started quietly, and stopped with nothing left behind."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveate import files
from foveate.errors import ClusterError
from foveate.spark.cluster.conf import is_local, masters, spark_conf
from foveate.spark.cluster.driver import handler_kept, started_session
from foveate.targets import Target

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SECONDS_TO_CONNECT = 20.0
"""How long a master may take to accept a connection."""
SECONDS_FOR_EXECUTORS = 60.0
"""How long a standalone cluster may take to give the first executor."""
SECONDS_FOR_CONTAINERS = 600.0
"""The same where executors are containers, whose images have to be pulled."""
SECONDS_TO_SETTLE = 2.0
"""As long as executors keep coming within this time, more are waited for."""
_SPARK_READS = ("hdfs", "http", "https", "ftp", "local", "file")


@contextmanager
def open_session(target: Target, *, name: str = "foveate") -> Iterator[SparkSession]:
    """A session on the target's cluster, with at least one executor ready.

    Where a session runs already (in spark-submit, with the Spark operator, in a notebook), that
    one is used and left running. One that is started here is stopped together with its JVM.
    The target's storage options hold from here on, in this process.

    Args:
        target: the cluster, of kind spark.
        name: of the application, as the cluster's page shows it.

    Raises:
        ClusterError: pyspark or Java is missing, the master cannot be reached, or no worker
            accepts the application.
        SettingsError: the environment lacks a secret of the target.
    """
    if target.kind != "spark":
        raise ClusterError(
            'This target is of kind "torch", which refines networks; for everything else a target '
            'of kind "spark" is needed.'
        )
    try:
        from pyspark import SparkContext
    except ImportError:
        raise ClusterError("A Spark cluster needs pyspark: pip install 'foveate[spark]'.") from None
    files.use_storage_options(target.opened_storage_options())
    if SparkContext._active_spark_context is not None:
        yield _builder().getOrCreate()
    elif "PYSPARK_GATEWAY_PORT" in os.environ:  # spark-submit started this Python
        with _builder().appName(name).getOrCreate() as session:
            yield session
    else:
        with _started(target, name) as session:
            yield session


def wait_for_executors(
    session: SparkSession, seconds: float = SECONDS_FOR_EXECUTORS, *, wanted: int = 0
) -> int:
    """Wait until the cluster gave executors to the application.

    Spark itself would wait for ever. Once there is one, others are waited for as long as they
    keep coming, so that `defaultParallelism` tells what there is to work with.

    Args:
        session: on a cluster, or local, where there is nothing to wait for.
        seconds: to wait for the first one, at most.
        wanted: as many are enough; 0 where that is not known.

    Returns:
        How many there are.

    Raises:
        ClusterError: there is none.
    """
    context = session.sparkContext
    if is_local(context.master or ""):
        return 0
    start = changed = time.monotonic()
    count = 0
    while True:
        now = time.monotonic()
        try:
            executors = context._jsc.sc().getExecutorMemoryStatus().size() - 1  # one is the driver
        except Exception as error:
            raise ClusterError(
                f"The cluster at {context.master} has ended the application, which happens when "
                "its executors fail as they start; their logs on the workers say why."
            ) from error
        if executors != count:
            count, changed = executors, now
        if count and (count == wanted or now - changed > SECONDS_TO_SETTLE):
            return count
        if not count and now - start > seconds:
            raise ClusterError(
                f"The cluster at {context.master} has given no worker for {seconds:.0f} s: no "
                "worker is running, other applications hold all cores, none has as much free "
                "memory as an executor takes, or executors fail as they start. The cluster's own "
                "page shows which."
            )
        time.sleep(0.2)


def _builder() -> Any:
    from pyspark.sql import SparkSession

    return SparkSession.builder


@contextmanager
def _started(target: Target, name: str) -> Iterator[SparkSession]:
    _connect(target.master)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="foveate-spark-")))
        conf = spark_conf(target, name=name, archive=_archive(target, folder))
        stack.enter_context(handler_kept())
        session = stack.enter_context(started_session(target, conf, folder))
        containers = not masters(session.sparkContext.master or "")
        wait_for_executors(
            session,
            SECONDS_FOR_CONTAINERS if containers else SECONDS_FOR_EXECUTORS,
            wanted=target.executors,
        )
        yield session


def _connect(master: str) -> None:
    """See whether a standalone cluster's master is there; Spark would try for minutes."""
    addresses = masters(master)
    end = time.monotonic() + SECONDS_TO_CONNECT
    problems = []
    for host, port in addresses:
        try:
            left = max(1.0, end - time.monotonic())
            socket.create_connection((host.strip("[]"), port), timeout=left).close()
        except OSError as error:
            problems.append(f"{host}:{port}: {error.strerror or error}")
        else:
            return
    if problems:
        raise ClusterError(
            f"The Spark master at {master} cannot be reached ({'; '.join(problems)}). Is it "
            "running, and is the address in the target right?"
        )


def _archive(target: Target, folder: Path) -> str:
    """The packed environment where Spark can read it: what only fsspec opens is brought here."""
    path = target.environment
    if not path or is_local(target.master):
        return ""
    if files.is_url(path):
        if path.partition("://")[0] in _SPARK_READS:
            return path
        local = folder / path.rpartition("/")[2]
    else:
        local = Path(path).absolute()
    try:
        if files.is_url(path):
            with files.open_file(path) as source, local.open("wb") as copy:
                shutil.copyfileobj(source, copy, 2**20)
        else:
            local.open("rb").close()
    except OSError as error:
        raise ClusterError(
            f"The packed environment ‘{path}’ cannot be read ({error.strerror or error}). "
            "`foveate target pack --out FILE` makes one."
        ) from None
    return local.as_uri()
