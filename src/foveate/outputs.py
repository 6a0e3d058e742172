"""What a verb writes, looked at before it works: hours of training must not end in a typing error.

A verb states its outputs and inputs once, to `check_outputs` or `check_folder`. What can be known
beforehand is then known: a name that does not say what the file will be, a place where nothing can
be written, an output that would replace an input or another output.
"""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from foveate.errors import OutputError
from foveate.files import local_path
from foveate.writing import output_error, output_place

MODEL = (".onnx",)
PAGE = (".html", ".htm")
TABLE = (".parquet", ".csv")


@dataclass(frozen=True, slots=True)
class Output:
    """A file that a verb will write.

    Attributes:
        what: it is, as a sentence calls it: "the report".
        path: where it goes, a local path or URL.
        suffixes: its name ends in one of them; any name where there are none.
    """

    what: str
    path: str | Path
    suffixes: Sequence[str] = ()


def check_outputs(outputs: Iterable[Output], inputs: Iterable[str | Path | None] = ()) -> None:
    """See before the work that its results can be written, and replace nothing that it reads.

    Places behind a URL are compared by name alone: to try whether they can be written is left to
    the work.

    Args:
        outputs: all files that will be written.
        inputs: files and folders that will be read; None is ignored.

    Raises:
        OutputError: one of them cannot be written, or would replace another file of this work.
    """
    outputs, inputs = list(outputs), list(inputs)
    for one in outputs:
        _check_suffix(one)
    for one in outputs:
        for given in inputs:
            if given is not None and is_same_file(one.path, given):
                raise OutputError(
                    f"‘{one.path}’ is read by this very command, so {one.what} cannot replace it. "
                    "Name another file."
                )
    for one, other in combinations(outputs, 2):
        if is_same_file(one.path, other.path):
            raise OutputError(
                f"‘{one.path}’ and ‘{other.path}’ are the same file, but {one.what} and "
                f"{other.what} need one each. Name another for one of them."
            )
    for one in outputs:
        if (local := local_path(str(one.path))) is not None:
            place = output_place(local)
            with _named(local):
                _try_folder(place.parent)


def check_folder(folder: str | Path) -> None:
    """See before the work that files can be written to a folder, which need not be there yet.

    Raises:
        OutputError: it is a file, or nothing can be written there.
    """
    local = local_path(str(folder))
    if local is None:
        return
    if local.exists() and not local.is_dir():
        raise OutputError(f"‘{folder}’ is a file; name a folder.", "is a file")
    with _named(local):
        _try_folder(local)


def is_same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two paths or URLs name one file, by links, or on a disk that ignores case."""
    here, there = local_path(str(one)), local_path(str(other))
    if here is None or there is None:
        return str(one) == str(other)
    with suppress(OSError, ValueError):
        return here.samefile(there)
    try:
        return os.path.realpath(here) == os.path.realpath(there)
    except (OSError, ValueError):
        return False


def _check_suffix(output: Output) -> None:
    name = str(output.path).lower()
    if output.suffixes and not name.endswith(tuple(output.suffixes)):
        wanted = " or ".join(output.suffixes)
        raise OutputError(
            f"‘{output.path}’ cannot be the name of {output.what}: it must end in {wanted}."
        )


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Within, what the system refuses is said of this path."""
    try:
        yield
    except OSError as error:
        raise output_error(path, error) from error


def _try_folder(folder: Path) -> None:
    """Write something there, and leave no trace of it, nor of folders made for it.

    Permissions alone do not tell: root may write everywhere but to a disk that can only be read.
    """
    made: list[Path] = []
    try:
        _make(folder, made)
        trial = folder / f".foveate-{uuid.uuid4().hex}.part"
        try:
            with trial.open("wb") as file:
                file.write(b"\0")
        finally:
            trial.unlink(missing_ok=True)
    finally:
        for one in reversed(made):
            with suppress(OSError):
                one.rmdir()


def _make(folder: Path, made: list[Path]) -> None:
    """Make a folder and those above it, and note those that were not there."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        _make(folder.parent, made)
    with suppress(FileExistsError):
        folder.mkdir()
        made.append(folder)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
