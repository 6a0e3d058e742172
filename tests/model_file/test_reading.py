"""Mutated model files: each is refused with a sentence or answers as a classifier does."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SECONDS = 10.0
"""For one file in one runtime."""

STARTING = 120.0
"""For a child to import what it needs, on a busy machine."""

MARK = b"foveate-child:"
RUNTIMES = 2


class Child:
    """A process that tries files, and may die of one."""

    def __init__(self, log: Path) -> None:
        folder = Path(__file__).parents[1]  # where `support` lies
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder)}
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "support.hostile_models_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
            )
        self._held = b""
        self._warm = False

    def attempt(self, seed: int) -> list[dict[str, object]]:
        """What becomes of a file in each runtime; a death is an outcome, too."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"%d\n" % seed)
        self._process.stdin.flush()
        found = []
        for _ in range(RUNTIMES):
            answer = self._answer(SECONDS if self._warm else STARTING)
            self._warm = True
            found.append(answer)
            if answer["outcome"] in ("died", "hangs"):
                break
        return found

    def _answer(self, seconds: float) -> dict[str, object]:
        assert self._process.stdout is not None
        end = time.monotonic() + seconds
        while True:
            line, found, rest = self._held.partition(b"\n")
            if found:
                self._held = rest
                if line.startswith(MARK):
                    answer: dict[str, object] = json.loads(line.removeprefix(MARK))
                    return answer
                continue
            if not select.select([self._process.stdout], [], [], max(0.0, end - time.monotonic()))[
                0
            ]:
                return {"outcome": "hangs", "detail": f"no answer within {seconds} s"}
            data = os.read(self._process.stdout.fileno(), 65536)
            if not data:
                return {"outcome": "died", "detail": f"exit code {self._process.wait()}"}
            self._held += data

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def children(log: Path) -> Iterator[list[Child]]:
    """A list of one child, to be replaced where it dies."""
    held = [Child(log)]
    try:
        yield held
    finally:
        for child in held:
            child.end()


def outcomes(seeds: Iterable[int], log: Path) -> tuple[Counter[str], list[str]]:
    """How many files ended how, and those that ended badly."""
    counts: Counter[str] = Counter()
    bad = []
    with children(log) as held:
        for seed in seeds:
            for answer in held[0].attempt(seed):
                outcome = str(answer["outcome"])
                counts[outcome] += 1
                if outcome not in ("refused", "answered"):
                    bad.append(f"{seed}: {answer}")
                if outcome in ("died", "hangs"):
                    held.pop().end()
                    held.append(Child(log))
    return counts, bad


def check(seeds: range, log: Path) -> None:
    counts, bad = outcomes(seeds, log)
    assert not bad, "\n".join(bad)
    assert sum(counts.values()) == RUNTIMES * len(seeds)
    # Mutations that all files survive, or none does, would show nothing.
    assert counts["answered"] > 0.03 * RUNTIMES * len(seeds)
    assert counts["refused"] > 0.5 * RUNTIMES * len(seeds)


def test_some_mutated_files(tmp_path: Path) -> None:
    check(range(12), tmp_path / "log")


@pytest.mark.slow
def test_a_thousand_mutated_files(tmp_path: Path) -> None:
    check(range(100, 1100), tmp_path / "log")
