"""Prove that a target can be used: workers, versions, storage, network.

Every executor is asked the same (`foveate.spark.check.asking`); what is not as it is here is
said in a sentence.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from foveate import files
from foveate.errors import ClusterError
from foveate.history.secrets import without_secrets
from foveate.spark.check.asking import ask_all
from foveate.spark.check.findings import TargetCheck, WorkerFound
from foveate.spark.check.worker import Question
from foveate.spark.cluster.failures import in_a_sentence
from foveate.spark.cluster.session import open_session
from foveate.targets import Target


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
            question = Question(folder, target.opened_storage_options(), contents)
            try:
                workers = ask_all(session, question)
            except Exception as error:
                problem = in_a_sentence(error, "The workers could not run a first task: {cause}.")
                return _done(master, (), target, start, (problem,), hidden)
            unread = _unread(folder, contents, workers) if folder else []
    problems = [sentence for worker in workers for sentence in worker.sentences]
    return _done(master, workers, target, start, (*problems, *unread), hidden)


def _done(
    master: str,
    workers: Sequence[WorkerFound],
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


def _unread(folder: str, contents: bytes, workers: Sequence[WorkerFound]) -> list[str]:
    """Sentences about what workers say they wrote and the driver does not find."""
    if any(worker.problems for worker in workers):
        return []
    written = [files.join(folder, f"worker-{worker.partition}") for worker in workers]
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
