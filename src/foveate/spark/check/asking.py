"""Ask every executor of a cluster what it has and can do."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import foveate
from foveate.spark.check import worker
from foveate.spark.check.findings import WorkerFound
from foveate.spark.check.worker import Question

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROUNDS = 4
"""How often executors that got no question are waited for."""

CLOSE = 0.999
"""Cosine of the features of one image there and here, at least: bfloat16 gives 0.9999."""


def ask_all(session: SparkSession, question: Question) -> list[WorkerFound]:
    """One answer of each executor, ordered by host and executor.

    Raises:
        Exception: what Spark raises where the question reaches nobody.
    """
    from pyspark import cloudpickle as untyped

    cloudpickle: Any = untyped

    context = session.sparkContext
    executors = max(1, context._jsc.sc().getExecutorMemoryStatus().size() - 1)
    cpus = int(context.getConf().get("spark.task.cpus", "1") or 1)
    parts = max(1, context.defaultParallelism // cpus)
    said: dict[tuple[str, str], dict[str, Any]] = {}
    cloudpickle.register_pickle_by_value(worker)
    try:
        # A task that is quick leaves the next one to the same executor, so each takes its time.
        for _ in range(ROUNDS):
            rows = context.parallelize(range(parts), parts)
            task = functools.partial(worker.answers, question)
            for answer in rows.mapPartitionsWithIndex(task).collect():
                said.setdefault((answer["host"], answer["executor"]), answer)
            if len(said) >= executors:
                break
    finally:
        cloudpickle.unregister_pickle_by_value(worker)
    return [worker_found(said[key]) for key in sorted(said)]


def worker_found(said: Mapping[str, Any]) -> WorkerFound:
    """What an executor said, compared with how it is here."""
    problems = list(said["problems"])
    there = said.get("foveate")
    if there is not None and there != foveate.__version__:
        # What else does not work there follows from it.
        problems = [
            f"foveate {there} is installed there, {foveate.__version__} here; install the same on "
            "both, or pack this environment (`foveate target pack`)"
        ]
    elif said.get("features") is not None and _cosine(said["features"]) < CLOSE:
        problems.append("the network computes other features there than here")
    return WorkerFound(
        host=said["host"],
        executor=said["executor"],
        cores=said["cores"],
        threads=said["threads"],
        python=said["python"],
        foveate=there,
        location=said.get("location"),
        runtime=said.get("runtime"),
        precision=said.get("precision"),
        partition=said["partition"],
        shares=said["shares"],
        problems=tuple(problems),
    )


def _cosine(there: Sequence[float]) -> float:
    one = np.asarray(there, np.float64)
    here = np.asarray(features_here(), np.float64)
    if one.shape != here.shape:
        return 0.0
    lengths = float(np.linalg.norm(one)) * float(np.linalg.norm(here))
    return float(one @ here) / max(lengths, 1e-12)


@functools.cache
def features_here() -> Sequence[float]:
    """The features that every worker should compute, too."""
    features: Sequence[float] = worker.network_facts()["features"]
    return features
