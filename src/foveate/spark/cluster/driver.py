"""The driver's own JVM: started without a word, and stopped with nothing left behind."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveate.errors import ClusterError
from foveate.spark.cluster.conf import as_properties, is_here, masters, workers_python
from foveate.spark.cluster.java import find_java
from foveate.targets import Target

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SECONDS_TO_REGISTER = 60.0
"""How long a master may take to accept the application, once it is connected."""
SECONDS_TO_STOP = 20.0

_LINE = re.compile(r"^\S+ \S+ (?:WARN|ERROR|FATAL) [\w.$]+: ")


@contextmanager
def started_session(
    target: Target, conf: Mapping[str, str], folder: Path
) -> Iterator[SparkSession]:
    """A session in a JVM of its own, which ends with it; what the JVM prints goes to a file.

    Args:
        target: the cluster.
        conf: Spark's configuration.
        folder: a temporary one, for the log and for the configuration until Spark has read it.

    Raises:
        ClusterError: there is no Java, or Spark does not start.
    """
    from pyspark import SparkContext
    from pyspark.find_spark_home import _find_spark_home
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    log = folder / "log"
    # By a file that only its owner reads: a command line, which may hold secrets, is for all.
    properties = folder / "conf"
    properties.touch(mode=0o600)
    properties.write_text(as_properties(conf))
    environment = {
        "JAVA_HOME": str(find_java()),
        "SPARK_HOME": _find_spark_home(),
        "PYSPARK_PYTHON": workers_python(target),
        "PYSPARK_SUBMIT_ARGS": f"--properties-file {shlex.quote(str(properties))} "
        "--load-spark-defaults " + os.environ.get("PYSPARK_SUBMIT_ARGS", "pyspark-shell"),
    }
    if is_here(target.master):
        environment["SPARK_LOCAL_IP"] = os.environ.get("SPARK_LOCAL_IP", "127.0.0.1")
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
                quiet: Any = context._accumulatorServer
                quiet.handle_error = _be_quiet
                session = SparkSession.builder.getOrCreate()
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
    SparkContext._gateway = SparkContext._jvm = SparkContext._active_spark_context = None


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
def handler_kept() -> Iterator[None]:
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
