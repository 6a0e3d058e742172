"""What Spark has to be told about a target, before anything is started."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping

from foveate.errors import ClusterError
from foveate.targets import Target

ENVIRONMENT = "environment"
"""The folder on a worker, below where it runs, that a packed environment is unpacked into."""

_STANDALONE = re.compile(r"spark://(.+)")
_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|\[::1\]")


def spark_conf(target: Target, *, name: str, archive: str = "") -> dict[str, str]:
    """Spark's configuration for a target; the target's own `conf` wins over all else.

    Args:
        target: the cluster.
        name: of the application, as the cluster's page shows it.
        archive: path or URL of the packed environment, where Spark can read it.

    Raises:
        ClusterError: a number of executors, but not of their cores, on a standalone cluster.
        SettingsError: the environment lacks a secret.
    """
    conf = {
        "spark.app.name": name,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    if target.master:
        conf["spark.master"] = target.master
    if is_here(target.master):
        conf |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    if target.memory:
        conf["spark.executor.memory"] = target.memory
    if target.cores:
        conf["spark.executor.cores"] = str(target.cores)
    if target.executors and masters(target.master):
        if not target.cores:
            raise ClusterError(
                "On a standalone cluster the number of executors follows from their cores: "
                "a target with `executors` needs `cores`, too."
            )
        conf["spark.cores.max"] = str(target.executors * target.cores)
    elif target.executors:
        conf["spark.executor.instances"] = str(target.executors)
    if archive:
        conf["spark.archives"] = f"{archive}#{ENVIRONMENT}"
    return conf | target.opened_conf()


def workers_python(target: Target) -> str:
    """The Python that the workers start."""
    if chosen := target.python or target.conf.get("spark.pyspark.python"):
        return chosen
    if target.environment and not is_local(target.master):
        return f"./{ENVIRONMENT}/bin/python"
    if chosen := os.environ.get("PYSPARK_PYTHON"):
        return chosen
    return sys.executable if is_here(target.master) else "python3"


def masters(master: str) -> list[tuple[str, int]]:
    """Host and port of each master of a standalone cluster; none of any other kind.

    Raises:
        ClusterError: it begins like a standalone cluster, but is not HOST:PORT.
    """
    match = _STANDALONE.fullmatch(master)
    if match is None:
        return []
    addresses = []
    for address in match[1].split(","):
        host, colon, port = address.rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 2**16):
            raise ClusterError(
                f"‘{master}’ is not the address of a master; it is of the form spark://HOST:7077."
            )
        addresses.append((host, int(port)))
    return addresses


def is_local(master: str) -> bool:
    """Whether the work is done in the driver itself, without a cluster."""
    return not master or master.startswith("local")


def is_here(master: str) -> bool:
    """Whether all workers can only be on this machine."""
    if master.startswith("local"):
        return not master.startswith("local-cluster")
    hosts = [host for host, _ in masters(master)]
    return not master or (bool(hosts) and all(_LOOPBACK.fullmatch(host) for host in hosts))


def as_properties(conf: Mapping[str, str]) -> str:
    r"""A configuration as a Java properties file: all but letters and digits as `\uXXXX`."""
    return "".join(f"{_escaped(name)}={_escaped(value)}\n" for name, value in conf.items())


def _escaped(text: str) -> str:
    units = text.encode("utf-16-be", errors="surrogatepass")
    codes = [int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2)]
    return "".join(
        chr(code) if code < 128 and chr(code).isalnum() else f"\\u{code:04x}" for code in codes
    )
