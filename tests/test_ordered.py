"""Work done by several threads, in order."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.ordered import map_in_order


@given(st.integers(0, 40), st.integers(1, 4))
def test_results_come_in_order(count: int, threads: int) -> None:
    results = map_in_order(lambda n: n * n, range(count), threads, ahead=2)
    assert list(results) == [n * n for n in range(count)]


def test_few_are_in_flight() -> None:
    taken: list[int] = []
    items = (taken.append(n) or n for n in range(1000))
    results = map_in_order(lambda n: n, items, 2, ahead=2)
    next(results)
    assert len(taken) <= 4
    results.close()  # type: ignore[attr-defined]


def test_threads_work_at_once() -> None:
    together = threading.Barrier(2, timeout=30)
    assert len(list(map_in_order(lambda _: together.wait(), range(4), 2, ahead=2))) == 4


def test_what_fails_is_raised_in_its_place() -> None:
    results = map_in_order(lambda n: 1 // n, [2, 1, 0, 1], 2, ahead=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_what_is_being_done_is_waited_for_as_long_as_is_said() -> None:
    begun, end = threading.Event(), threading.Event()
    done: list[int] = []

    def work(n: int) -> int:
        if n:
            begun.set()
            end.wait(60)
        done.append(n)
        return n

    results = map_in_order(work, [0, 1], 1, ahead=2, patience=0.0)
    next(results)
    assert begun.wait(60)
    before = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - before < 30, "nobody waits for what is silent"
    assert done == [0]
    end.set()
