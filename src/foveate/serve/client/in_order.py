"""Work done by several threads, its results in the order of what was given."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

AHEAD = 8
"""Items per thread that may be done while an earlier one is still waited for."""
LEAVE_TAKING = 0.5
"""Seconds that work which nobody waits for any more has to end."""

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def in_order(work: Callable[[_In], _Out], items: Iterable[_In], threads: int) -> Iterator[_Out]:
    """The results of `work` in the order of the items, computed by several threads.

    Items are taken as they are needed. The threads are daemons, unlike those of an executor, so
    that Ctrl-C need not wait for a server that is silent.
    """
    jobs: SimpleQueue[tuple[Future[_Out], _In] | None] = SimpleQueue()
    pending: deque[Future[_Out]] = deque()

    def run() -> None:
        while (job := jobs.get()) is not None:
            future, item = job
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work(item))
                except BaseException as error:
                    future.set_exception(error)
            del future, item, job  # not to hold an image while waiting

    workers: list[threading.Thread] = []
    try:
        for item in items:
            if len(workers) < threads:
                workers.append(threading.Thread(target=run, daemon=True, name="foveate-call"))
                workers[-1].start()
            future: Future[_Out] = Future()
            pending.append(future)
            jobs.put((future, item))
            if len(pending) >= threads * AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for waiting in pending:
            waiting.cancel()
        for _ in workers:
            jobs.put(None)
        # What is nearly done gives its connection back before anybody closes them all.
        last = time.monotonic() + LEAVE_TAKING
        for worker in workers:
            worker.join(max(last - time.monotonic(), 0.0))
