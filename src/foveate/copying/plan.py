"""Which file goes where."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from foveate.copying.failures import sentence
from foveate.copying.opening import open_store, shown
from foveate.copying.stores import Store, Stored
from foveate.copying.transfer import CopyJob
from foveate.errors import CopyError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """What is to be copied.

    Attributes:
        source: the folder of the files.
        target: the folder where they go.
        jobs: each file, sorted by path.
        key: the two places, the same however they were spelt.
    """

    source: Store
    target: Store
    jobs: tuple[CopyJob, ...]
    key: str


def make_plan(source: str, out: str, limit: int | None) -> CopyPlan:
    """Look at both sides and decide which file goes where.

    Args:
        source: folder or file.
        out: folder or file.
        limit: take the first so many files only; None: all.

    Raises:
        CopyError: there is nothing to copy, or not from there to there.
    """
    if out.lower().startswith(("http://", "https://")):
        raise CopyError(f"Nothing can be copied to ‘{shown(out)}’: the web is for reading only.")
    start, end = open_store(source), open_store(out)
    kind = _asked(start, start.kind)
    if kind is None:
        raise CopyError(f"‘{shown(source)}’ is not there. Name a folder or a file that is.")
    end_kind = _asked(end, end.kind)
    if kind == "file":
        folder, name = start.parent()
        file = _asked(start, lambda: folder.look(name))
        if end_kind == "folder" or out.endswith("/"):
            target, new_name = end, name
        else:
            target, new_name = end.parent()
        _refuse_same(f"{target.identity[1]}/{new_name}", target, start)
        there = _asked(end, lambda: _look(target, new_name))
        job = CopyJob(file, new_name, there)
        return CopyPlan(folder, target, (job,), f"{_key(start)}\n{_key(target)}/{new_name}")
    if end_kind == "file":
        raise CopyError(
            f"‘{start.name}’ is a folder, ‘{end.name}’ a file. Name a folder to copy to."
        )
    overlap = _refuse_nested(start, end)
    files = _asked(start, lambda: list(islice(start.files(), limit)))
    if not files:
        raise CopyError(f"‘{start.name}’ has no files (hidden ones do not count).")
    if overlap and any(is_within(file.relative, overlap) for file in files):
        raise CopyError(
            f"In ‘{end.name}’ files would be copied over others of ‘{start.name}’. Name a place "
            "outside."
        )
    there_now = _asked(end, lambda: _by_path(end.files())) if end_kind else {}
    jobs = tuple(CopyJob(file, file.relative, there_now.get(file.relative)) for file in files)
    return CopyPlan(start, end, jobs, f"{_key(start)}\n{_key(end)}")


def is_within(path: str, folder: str) -> bool:
    """Whether a path is a folder's own or one below it; both without a slash at the end."""
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _refuse_same(address: str, target: Store, start: Store) -> None:
    system, path = start.identity
    if target.identity[0] == system and address == path:
        raise CopyError(f"‘{start.name}’ would be copied onto itself. Name another place.")


def _refuse_nested(start: Store, end: Store) -> str:
    """Refuse a destination inside the source; where the source is in the destination, say where."""
    (system, here), (other, there) = start.identity, end.identity
    if system != other:
        return ""
    if here == there:
        raise CopyError(f"‘{start.name}’ would be copied onto itself. Name another place.")
    if is_within(there, here):
        raise CopyError(
            f"‘{end.name}’ is inside ‘{start.name}’, and would be copied into itself without end. "
            "Name a place outside."
        )
    return here.removeprefix(there).strip("/") if is_within(here, there) else ""


def _look(store: Store, relative: str) -> Stored | None:
    try:
        return store.look(relative)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _by_path(files: Iterable[Stored]) -> dict[str, Stored]:
    return {file.relative: file for file in files}


def _key(store: Store) -> str:
    system, path = store.identity
    protocol = getattr(system, "protocol", "local")
    return f"{protocol}:{path}"


def _asked(store: Store, question: Callable[[], T]) -> T:
    """An answer of a store.

    Raises:
        CopyError: it did not answer.
    """
    try:
        return question()
    except CopyError:
        raise
    except Exception as error:  # a store's client raises whatever it likes
        raise CopyError(f"‘{store.name}’ cannot be looked at: {sentence(error)}.") from error
