"""What the check of a target found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerFound:
    """An executor, and what it said.

    Attributes:
        host: the name of its machine or container.
        executor: its id in the application.
        cores: that Spark gave it; None where it could not be told.
        threads: that one of its tasks may use.
        python: its version of Python.
        foveate: its version of foveate; None without.
        location: where that foveate lies, on the worker.
        runtime: what runs a network there, and in which `precision`.
        precision: "bfloat16" or "float32".
        problems: what is not right, in words.
        partition: the number of the question that it answered.
        shares: whether it sees the mark that it was asked for.
    """

    host: str
    executor: str
    cores: int | None
    threads: int
    python: str
    foveate: str | None
    location: str | None
    runtime: str | None
    precision: str | None
    problems: tuple[str, ...]
    partition: int = 0
    shares: bool = False

    @property
    def sentences(self) -> list[str]:
        """The problems, each with where it is."""
        return [
            f"On {self.host} (executor {self.executor}): {p.rstrip('.')}." for p in self.problems
        ]


@dataclass(frozen=True, slots=True)
class TargetCheck:
    """What a check found.

    Attributes:
        master: where the cluster is.
        workers: one an executor, or none where the cluster could not run anything.
        storage: the folder that was written and read by all; empty if the target has none.
        seconds: how long it took, start of the application included.
        problems: sentences; none where all is right.
        remarks: what was not looked at, or is worth knowing.
    """

    master: str
    workers: tuple[WorkerFound, ...]
    storage: str
    seconds: float
    problems: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    @property
    def cores(self) -> int:
        """Cores of all executors together."""
        return sum(worker.cores or 0 for worker in self.workers)
