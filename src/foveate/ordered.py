"""Work done by several threads, its results in the order of what was given."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def map_in_order(
    work: Callable[[_In], _Out],
    items: Iterable[_In],
    threads: int,
    *,
    ahead: int,
    patience: float | None = None,
) -> Iterator[_Out]:
    """The results of `work` in the order of the items, which are taken as they are needed.

    The threads are daemons, unlike those of an executor, so that nothing that is silent keeps a
    program from its end.

    Args:
        work: called in one of the threads.
        items: what it is called with.
        threads: how many.
        ahead: items a thread that may be done while an earlier one is still waited for.
        patience: seconds to wait, when nobody wants more, for what is being done; None: until
            it is done.
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
                workers.append(threading.Thread(target=run, daemon=True, name="foveate"))
                workers[-1].start()
            future: Future[_Out] = Future()
            pending.append(future)
            jobs.put((future, item))
            if len(pending) >= threads * ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for waiting in pending:
            waiting.cancel()
        for _ in workers:
            jobs.put(None)
        last = None if patience is None else time.monotonic() + patience
        for worker in workers:
            worker.join(None if last is None else max(last - time.monotonic(), 0.0))
