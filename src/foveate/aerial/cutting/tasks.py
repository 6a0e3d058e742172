"""Do many pieces of work on tiles at once: in threads here, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T", bound=Sized)
R = TypeVar("R")

Progress = Callable[[str, int, int], None]
"""Told the stage, how many tiles are done, and of how many."""


class TileEngine(Protocol):
    """What does the work; `cutting.cluster` has one for clusters."""

    def __call__(self, work: Callable[[T], R], tasks: Sequence[T], stage: str) -> list[R]:
        """The results of all tasks, in their order; `len` of a task is its number of tiles."""
        ...


@contextmanager
def threads(workers: int, progress: Progress | None = None) -> Iterator[TileEngine]:
    """Threads of this process: GDAL lets go of the interpreter while it reads.

    Args:
        workers: how many.
        progress: told how far it is.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="foveate-tiles") as pool:

        def run(work: Callable[[T], R], tasks: Sequence[T], stage: str) -> list[R]:
            total, done = sum(map(len, tasks)), 0
            futures = {pool.submit(work, task): number for number, task in enumerate(tasks)}
            results: dict[int, R] = {}
            try:
                for future in as_completed(futures):
                    number = futures[future]
                    results[number] = future.result()
                    done += len(tasks[number])
                    if progress is not None:
                        progress(stage, done, total)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            return [results[number] for number in range(len(tasks))]

        yield run
