"""Wait for what a cluster computes, with news of how far it is, and with Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SECONDS_BETWEEN_NEWS = 0.3

T = TypeVar("T")


def collect(
    session: SparkSession, action: Callable[[], T], *, name: str, news: Callable[[str], None]
) -> T:
    """The result of a Spark action.

    Args:
        session: of the cluster.
        action: starts jobs and waits for them.
        name: of these, in Spark's pages.
        news: called now and then with the group that the jobs are in.

    Raises:
        KeyboardInterrupt: after the jobs were cancelled.
        Exception: what the action raises.
    """
    from pyspark import inheritable_thread_target

    context = session.sparkContext
    group = f"foveate-{time.monotonic_ns()}"

    def act() -> T:
        context.setJobGroup(group, name, interruptOnCancel=True)
        return action()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(inheritable_thread_target(session)(act))
        try:
            while wait([future], SECONDS_BETWEEN_NEWS).not_done:
                news(group)
            result: T = future.result()
            return result
        except KeyboardInterrupt:
            context.cancelJobGroup(group)
            raise
