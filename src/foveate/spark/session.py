"""A Spark session on a target: started quietly, and stopped with nothing left behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveate import files
from foveate.errors import ClusterError
from foveate.spark.conf import as_properties, is_here, is_local, masters, spark_conf, workers_python
from foveate.spark.java import find_java
from foveate.targets import Target

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SECONDS_TO_CONNECT = 20.0
"""How long a master may take to accept a connection."""
SECONDS_TO_REGISTER = 60.0
"""How long it may then take to accept the application."""
SECONDS_FOR_EXECUTORS = 60.0
"""How long a standalone cluster may take to give the first executor."""
SECONDS_FOR_CONTAINERS = 600.0
"""The same where executors are containers, whose images have to be pulled."""
SECONDS_TO_SETTLE = 2.0
"""As long as executors keep coming within this time, more are waited for."""
SECONDS_TO_STOP = 20.0

_LINE = re.compile(r"^\S+ \S+ (?:WARN|ERROR|FATAL) [\w.$]+: ")
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
            found = context._jsc.sc().getExecutorMemoryStatus().size() - 1  # one is the driver
        except Exception as error:
            raise ClusterError(
                f"The cluster at {context.master} has ended the application, which happens when "
                "its executors fail as they start; their logs on the workers say why."
            ) from error
        if found != count:
            count, changed = found, now
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
        log = folder / "log"
        stack.enter_context(_handler_kept())
        session = stack.enter_context(_session(target, conf, folder, log))
        containers = not masters(session.sparkContext.master or "")
        wait_for_executors(
            session,
            SECONDS_FOR_CONTAINERS if containers else SECONDS_FOR_EXECUTORS,
            wanted=target.executors,
        )
        yield session


@contextmanager
def _session(
    target: Target, conf: Mapping[str, str], folder: Path, log: Path
) -> Iterator[SparkSession]:
    from pyspark import SparkContext
    from pyspark.find_spark_home import _find_spark_home
    from pyspark.java_gateway import launch_gateway

    # By a file that only its owner reads: a command line, which may hold secrets, is for all.
    properties = folder / "conf"
    properties.touch(mode=0o600)
    properties.write_text(as_properties(conf))
    environment = {
        "JAVA_HOME": str(find_java()),
        "SPARK_HOME": _find_spark_home(),
        "PYSPARK_PYTHON": workers_python(target),
        "PYSPARK_SUBMIT_ARGS": f"--properties-file {properties} --load-spark-defaults "
        + os.environ.get("PYSPARK_SUBMIT_ARGS", "pyspark-shell"),
    }
    if is_here(target.master):
        environment["SPARK_LOCAL_IP"] = "127.0.0.1"
    gateway: Any = None
    failed: Exception | None = None
    session: SparkSession | None = None
    try:
        with log.open("wb") as noise, _environment(environment):
            try:
                launch: Any = launch_gateway  # which is not typed
                gateway = launch(popen_kwargs={"stdout": noise, "stderr": noise})
                patience = SECONDS_TO_REGISTER if masters(target.master) else None
                with _killed_after(patience, gateway.proc):
                    context = SparkContext(gateway=gateway)
                context.setLogLevel("ERROR")
                # When the JVM goes first, this thread of pyspark would print a traceback.
                context._accumulatorServer.handle_error = _be_quiet
                session = _builder().getOrCreate()
            except Exception as error:
                failed = error
        properties.unlink()
        if session is None:
            raise ClusterError(_why_not(target, log)) from failed
        yield session
    finally:
        _stop(session, gateway)


def _be_quiet(*_: object) -> None:
    return


def _stop(session: SparkSession | None, gateway: Any) -> None:
    from pyspark import SparkContext

    if gateway is None:
        return
    with (
        _killed_after(SECONDS_TO_STOP, gateway.proc),
        warnings.catch_warnings(action="ignore"),  # that a JVM which died does not answer
        suppress(Exception),
    ):
        if session is not None:
            session.stop()
    with suppress(Exception):
        gateway.shutdown()
    gateway.proc.stdin.close()  # which ends the JVM
    try:
        gateway.proc.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        gateway.proc.kill()
        gateway.proc.wait()
    SparkContext._gateway = SparkContext._jvm = None


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


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _handler_kept() -> Iterator[None]:
    """Give Ctrl-C back its meaning after pyspark, which puts its own in place for good."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


@contextmanager
def _killed_after(seconds: float | None, process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End a JVM that does not get on, which lets the call into it fail instead of wait."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _why_not(target: Target, log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    said = [_LINE.sub("", line) for line in lines if _LINE.match(line) or "rror" in line]
    where = f" on {target.master}" if target.master else ""
    hint = ""
    if masters(target.master):
        import pyspark

        hint = (
            " Is it the address of a master rather than of its page, and does the cluster run "
            f"Spark {pyspark.__version__}, as this machine does?"
        )
    return f"Spark did not start{where}: {said[-1] if said else 'it gave no reason'}.{hint}"
