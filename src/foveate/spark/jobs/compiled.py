"""The compiled networks of a worker: Spark keeps its Python processes from task to task."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar, cast

KEPT = 4
"""Networks that a process keeps; each takes some 100 MB."""

_kept: dict[Hashable, object] = {}

T = TypeVar("T")


def compiled(key: Hashable, compile_it: Callable[[], T]) -> T:
    """What a key stands for, compiled when this process first needs it.

    Only the last few are kept. A task runs alone in its process, so nothing is locked.

    Args:
        key: names the network and all that compiling it depends on.
        compile_it: called where it is not there yet.
    """
    if key not in _kept:
        while len(_kept) >= KEPT:
            del _kept[next(iter(_kept))]
        _kept[key] = compile_it()
    return cast(T, _kept[key])
