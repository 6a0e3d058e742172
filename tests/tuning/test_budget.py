from __future__ import annotations

import time

import pytest

from foveate.tuning.budget import Budget, OutOfTime


def test_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    budget = Budget(2)
    budget.check()
    now += 119
    budget.check()
    with pytest.raises(OutOfTime):
        budget.check(1.5)
    now += 2
    with pytest.raises(OutOfTime):
        budget.check()


def test_what_is_kept_back_is_at_most_half_and_never_less_than_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    budget = Budget(1)
    budget.keep_back(20)
    budget.keep_back(5)
    now = 41
    with pytest.raises(OutOfTime):
        budget.check()
    budget.keep_back(1000)
    now = 29
    budget.check()
    now = 31
    with pytest.raises(OutOfTime):
        budget.check()
    budget.release()
    budget.check()


def test_progress_is_told_before_the_work_stops() -> None:
    told: list[object] = []
    budget = Budget(0)
    with pytest.raises(OutOfTime):
        budget.watched(lambda *words: told.append(words))("inspect", 1, 2, "note")
    assert told == [("inspect", 1, 2, "note")]
    with pytest.raises(OutOfTime):
        budget.watched(None)("inspect", 1, 2)
