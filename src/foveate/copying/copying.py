"""Copy everything below one place to another, with several threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

from foveate.copying.failures import WriteError, is_transient, sentence
from foveate.copying.journal import open_journal
from foveate.copying.plan import CopyPlan, make_plan
from foveate.copying.transfer import CopyJob, Stopped, Transfer, Verify
from foveate.files import printable

WORKERS = 16
"""Files on their way at once: they wait for the network most of the time."""
SECONDS_BETWEEN_REPORTS = 0.2
FAILURES_IN_A_ROW = 32
"""So many failures of a store, with no success between them, and it is taken to be gone."""


@dataclass(frozen=True, slots=True)
class CopyFailure:
    """A file that was not copied.

    Attributes:
        path: relative to the source.
        reason: what is wrong, in a few words.
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class State:
    """How far a copy is.

    Attributes:
        files: that are done with: copied, right already, or failed.
        total_files: all there are.
        bytes: of these files.
        total_bytes: all there are, as far as sizes are known.
    """

    files: int
    total_files: int
    bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Copied:
    """What came of a copy.

    Attributes:
        files: in the source, hidden ones left out.
        copied: files that were copied now.
        skipped: files that were right already.
        bytes: copied now.
        failed: files that are not at the destination as they should be, by path.
        untried: files that were not tried, because one of the stores failed again and again.
        seconds: it took.
        out: the destination.
    """

    files: int
    copied: int
    skipped: int
    bytes: int
    failed: tuple[CopyFailure, ...]
    untried: int
    seconds: float
    out: str

    @property
    def megabytes_per_second(self) -> float:
        """10⁶ bytes a second that were copied."""
        return self.bytes / 1e6 / self.seconds if self.seconds else 0.0

    @property
    def complete(self) -> bool:
        """Whether every file is at the destination."""
        return not self.failed and not self.untried


def copy(
    source: str,
    out: str,
    *,
    workers: int | None = None,
    limit: int | None = None,
    verify: Verify = "auto",
    progress: Callable[[State], None] | None = None,
) -> Copied:
    """Copy what is missing or different at `out`; the same call again goes on where it was.

    What is below a folder `source` is then below `out`. A file goes to `out`, or into it where
    `out` is a folder or ends with a slash. Hidden files are left out. Nothing is deleted.

    Args:
        source: folder or file, as path or URL.
        out: folder or file, as path or URL; folders are made, buckets and containers are not.
        workers: files on their way at once; None: 16.
        limit: copy the first so many files only.
        verify: how to see that a file is right; see `Verify`.
        progress: called some times a second.

    Raises:
        CopyError: `source` is not there or cannot be read, `out` is `source` or in it, or another
            process copies the same.
        KeyboardInterrupt: what was copied is kept.
    """
    start = time.monotonic()
    plan = make_plan(source, out, limit)
    with open_journal(plan.key) as journal:
        stop = threading.Event()
        transfer = Transfer(plan.source, plan.target, journal, verify, stop)
        crew = _Crew(transfer, plan)
        crew.work(workers or WORKERS, progress or (lambda _: None))
    return Copied(
        files=len(plan.jobs),
        copied=crew.copied,
        skipped=crew.skipped,
        bytes=crew.bytes,
        failed=tuple(sorted(crew.failed, key=lambda failure: failure.path)),
        untried=len(plan.jobs) - crew.copied - crew.skipped - len(crew.failed),
        seconds=time.monotonic() - start,
        out=out,
    )


class _Crew:
    """Threads that take one job after the other."""

    def __init__(self, transfer: Transfer, plan: CopyPlan) -> None:
        self._transfer = transfer
        self._jobs: Iterator[CopyJob] = iter(plan.jobs)
        self._total = _state_of(plan.jobs)
        self._lock = threading.Lock()
        self._in_a_row = self._done_bytes = self._sent = 0
        self.copied = self.skipped = self.bytes = 0
        self.failed: list[CopyFailure] = []

    def work(self, workers: int, progress: Callable[[State], None]) -> None:
        """Return when everything was tried."""
        with ThreadPoolExecutor(workers, thread_name_prefix="foveate-copy") as pool:
            running = [pool.submit(self._take_jobs) for _ in range(workers)]
            try:
                while running:
                    progress(self.state())
                    done, left = wait(running, timeout=SECONDS_BETWEEN_REPORTS)
                    running = list(left)
                    for one in done:
                        one.result()
            except BaseException:
                self._transfer.stop.set()
                raise
        progress(self.state())

    def state(self) -> State:
        """How far they are."""
        with self._lock:
            files = self.copied + self.skipped + len(self.failed)
            done = min(self._done_bytes + self._sent, self._total.total_bytes)
        return State(files, self._total.total_files, done, self._total.total_bytes)

    def _take_jobs(self) -> None:
        while not self._transfer.stop.is_set():
            with self._lock:
                job = next(self._jobs, None)
            if job is None:
                return
            try:
                self._do(job)
            except Stopped:
                return

    def _do(self, job: CopyJob) -> None:
        sent = 0

        def advance(count: int) -> None:
            nonlocal sent
            sent += count
            with self._lock:
                self._sent += count

        size: int | None = None
        trouble: Exception | None = None
        try:
            size = self._transfer.run(job, advance)
        except Stopped:
            raise
        except Exception as error:  # a store's client raises whatever it likes
            trouble = error
        with self._lock:
            self._sent -= sent
            self._done_bytes += job.file.size or 0
            if trouble is not None:
                self._fail(job, trouble)
            else:
                self._in_a_row = 0
                self.copied += size is not None
                self.skipped += size is None
                self.bytes += size or 0

    def _fail(self, job: CopyJob, error: Exception) -> None:
        self.failed.append(CopyFailure(printable(job.file.relative), sentence(error)))
        # A file that cannot be read says nothing about the next one; a store that fails does.
        if is_transient(error) or isinstance(error, WriteError):
            self._in_a_row += 1
            if self._in_a_row >= FAILURES_IN_A_ROW:
                self._transfer.stop.set()


def _state_of(jobs: Sequence[CopyJob]) -> State:
    return State(0, len(jobs), 0, sum(job.file.size or 0 for job in jobs))
