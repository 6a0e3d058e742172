"""Prove that a target can be used: workers, versions, storage, network.

Every executor is asked the same (`foveate.spark.check.worker`); what is not as it is here is
said in a sentence.
"""

from __future__ import annotations

import functools
import re
import secrets
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

import foveate
from foveate import files
from foveate.errors import ClusterError
from foveate.history.secrets import without_secrets
from foveate.spark.check import worker as probe_worker
from foveate.spark.check.findings import TargetCheck, WorkerFound
from foveate.spark.check.worker import Question
from foveate.spark.cluster.session import open_session
from foveate.targets import Target

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROUNDS = 4
"""How often executors that got no question are waited for."""

CLOSE = 0.999
"""Cosine of the features of one image there and here, at least: bfloat16 gives 0.9999."""

_NO_PROGRAM = re.compile(r'Cannot run program "([^"]+)"')
_OTHER_PYTHON = re.compile(r"PYTHON_VERSION_MISMATCH")


def check_target(target: Target) -> TargetCheck:
    """Try everything that work on a target needs.

    Raises:
        ClusterError: the cluster cannot be reached at all, or its storage not from here.
        SettingsError: the environment lacks a secret of the target.
    """
    start = time.monotonic()
    if target.kind == "torch":
        from foveate.spark.check.machines import check_machines

        return check_machines(target)
    hidden = _secrets(target)
    with open_session(target, name="foveate target check") as session:
        master = str(session.sparkContext.master)
        with _storage_folder(target, hidden) as (folder, contents):
            question = Question(folder, target.opened_storage_options(), contents, 1.0)
            try:
                said = _ask_all(session, question)
            except Exception as error:
                problem = _why_no_answer(error, session.sparkContext.pythonExec)
                return _done(master, (), target, start, (problem,), hidden)
            unread = _unread(folder, contents, said) if folder else []
    workers = tuple(_worker(one) for one in said)
    problems = [
        f"On {w.host} (executor {w.executor}): {p.rstrip('.')}."
        for w in workers
        for p in w.problems
    ]
    return _done(master, workers, target, start, (*problems, *unread), hidden)


def _done(
    master: str,
    workers: tuple[WorkerFound, ...],
    target: Target,
    start: float,
    problems: Sequence[str],
    hidden: Sequence[str],
) -> TargetCheck:
    remarks = []
    if not target.storage:
        remarks.append(
            "The target has no `storage`, so nobody tried whether workers can read and write one."
        )
    return TargetCheck(
        master=master,
        workers=tuple(
            replace(w, problems=tuple(_hide(p, hidden) for p in w.problems)) for w in workers
        ),
        storage=_hide(target.storage, hidden),
        seconds=time.monotonic() - start,
        problems=tuple(dict.fromkeys(_hide(problem, hidden) for problem in problems)),
        remarks=tuple(remarks),
    )


def _ask_all(session: SparkSession, question: Question) -> list[dict[str, Any]]:
    """One answer of each executor, ordered by host and executor."""
    from pyspark import cloudpickle as untyped

    cloudpickle: Any = untyped

    context = session.sparkContext
    executors = max(1, context._jsc.sc().getExecutorMemoryStatus().size() - 1)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    cloudpickle.register_pickle_by_value(probe_worker)
    try:
        # A task that is quick leaves the next one to the same executor, so each takes its time.
        for _ in range(ROUNDS):
            parts = max(1, context.defaultParallelism)
            rows = context.parallelize(range(parts), parts)
            task = functools.partial(probe_worker.answers, question)
            for answer in rows.mapPartitionsWithIndex(task).collect():
                found.setdefault((answer["host"], answer["executor"]), answer)
            if len(found) >= executors:
                break
    finally:
        cloudpickle.unregister_pickle_by_value(probe_worker)
    return [found[key] for key in sorted(found)]


def _worker(said: Mapping[str, Any]) -> WorkerFound:
    problems = list(said["problems"])
    there = said.get("foveate")
    if there is not None and there != foveate.__version__:
        # What else does not work there follows from it.
        problems = [f"foveate {there} is installed there, {foveate.__version__} here"]
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
        problems=tuple(problems),
    )


def _cosine(there: Sequence[float]) -> float:
    one = np.asarray(there, np.float64)
    here = np.asarray(_features_here(), np.float64)
    if one.shape != here.shape:
        return 0.0
    lengths = float(np.linalg.norm(one)) * float(np.linalg.norm(here))
    return float(one @ here) / max(lengths, 1e-12)


@functools.cache
def _features_here() -> Sequence[float]:
    features: Sequence[float] = probe_worker.network_facts()["features"]
    return features


@contextmanager
def _storage_folder(target: Target, hidden: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """A folder in the storage with one file, removed at the end; `("", b"")` without a storage."""
    if not target.storage:
        yield "", b""
        return
    folder = files.join(target.storage, f"check-{secrets.token_hex(8)}")
    folder = files.absolute(folder)
    contents = secrets.token_bytes(1000)
    try:
        files.write_anywhere(files.join(folder, "driver"), contents)
    except Exception as error:  # stores raise what they like
        said = _hide(f"{type(error).__name__}: {error}", hidden)
        raise ClusterError(
            f"The storage ‘{_hide(target.storage, hidden)}’ cannot be written from here ({said})."
        ) from None
    try:
        yield folder, contents
    finally:
        files.remove(folder)


def _unread(folder: str, contents: bytes, said: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences about what workers say they wrote and the driver does not find."""
    if any(one["problems"] for one in said):
        return []
    written = [files.join(folder, f"worker-{one['partition']}") for one in said]
    missing = 0
    for path in written:
        try:
            missing += files.read_bytes(path) != contents[::-1]
        except OSError:
            missing += 1
    if missing:
        return [
            f"What {missing} of {len(written)} workers wrote to the storage cannot be read from "
            "here. Is it a folder that all of them share?"
        ]
    return []


def _why_no_answer(error: Exception, python: str) -> str:
    text = str(error)
    if found := _NO_PROGRAM.search(text):
        return (
            f"The workers have no Python at ‘{found[1]}’. Say in the target where it is "
            "(`python`), or pack an environment (`foveate target pack`)."
        )
    if _OTHER_PYTHON.search(text):
        return (
            f"The Python of the workers (‘{python}’) is of another version than this one "
            f"({sys.version_info.major}.{sys.version_info.minor}); Spark needs the same minor "
            "version on both sides."
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "rror" in line and not line.startswith("at ")]
    return f"The workers could not run a first task: {(errors or lines or [repr(error)])[-1]}"


def _secrets(target: Target) -> list[str]:
    """The values that must not be shown."""
    written = [value for options in target.storage_options.values() for value in options.values()]
    opened = [v for options in target.opened_storage_options().values() for v in options.values()]
    written += target.conf.values()
    opened += target.opened_conf().values()
    return [value for plain, value in zip(written, opened, strict=True) if plain != value and value]


def _hide(text: str, hidden: Sequence[str]) -> str:
    for value in hidden:
        text = text.replace(value, "…")
    return without_secrets(text)
