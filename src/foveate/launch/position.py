"""Which of the processes that train together this one is, and its part of the machine."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Position:
    """One of the processes that torchrun started; the only one where it started none.

    Attributes:
        rank: number of this process; 0 writes.
        count: number of processes, on all machines.
        local_rank: number of this process on its machine.
        local_count: processes of this machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    def threads(self, workers: int) -> int:
        """This process's part of the threads of a machine; see `share_of_threads`."""
        return share_of_threads(workers, self.local_count)


def find_position() -> Position:
    """What torchrun's variables say about this process.

    A rank alone says nothing: some schedulers set `RANK` in jobs of a single process.
    """
    if not is_one_of_many():
        return Position()
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    defaults = ("0", "1", "0", "1")
    return Position(
        *(int(os.environ.get(name, default)) for name, default in zip(names, defaults, strict=True))
    )


def is_one_of_many() -> bool:
    """Whether torchrun started this process, be it as the only one."""
    return all(os.environ.get(name, "").isdecimal() for name in ("RANK", "WORLD_SIZE"))


def is_helper() -> bool:
    """Whether another process does the talking and the writing."""
    return find_position().rank > 0


def share_of_threads(workers: int, processes: int) -> int:
    """Threads for one of so many processes of a machine; 0 workers: one a core, in all of them."""
    from foveate.runtime import usable_cores

    return max((workers or usable_cores()) // processes, 1)
