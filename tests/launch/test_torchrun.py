"""Which failure the others followed from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.launch.failures import (
    Cause,
    ProcessFailure,
)
from foveate.launch.torchrun import first_cause


def ended(exitcode: int, timestamp: int = 100) -> SimpleNamespace:
    """As torchrun tells of a process."""
    return SimpleNamespace(exitcode=exitcode, timestamp=timestamp)


SAID = ProcessFailure("no such image", 1, Cause.EXPLAINED, 103.0)


DEFECT = ProcessFailure("a defect", 1, Cause.DEFECT, 100.5)


GONE = ProcessFailure("gone", 1, Cause.GONE, 100.4)


@pytest.mark.parametrize(
    ("left", "endings", "said"),
    [
        ([GONE, DEFECT, SAID], [ended(1), ended(1), ended(-15)], "no such image"),
        ([GONE, DEFECT], [ended(1)], "a defect"),
        ([GONE], [ended(-9), ended(1)], "memory was short"),
        ([GONE], [ended(-6), ended(-9)], "memory was short"),
        ([], [ended(-11), ended(-15)], "SIGSEGV"),
        ([], [ended(-99)], "signal 99"),
        ([DEFECT], [ended(1), ended(-9, timestamp=130)], "a defect"),  # it would not end
        ([], [ended(3), ended(-15)], "without a word (exit status 3"),
    ],
)
def test_the_cause_is_what_is_said(
    left: list[ProcessFailure], endings: list[Any], said: str
) -> None:
    assert said in first_cause(left, endings).sentence


failures = st.lists(
    st.builds(
        ProcessFailure, st.text(min_size=1), st.just(1), st.sampled_from(Cause), st.floats(0, 1e10)
    ),
    min_size=1,
    unique_by=lambda failure: (failure.cause, failure.seconds),
)


@given(failures, st.randoms())
def test_the_cause_depends_on_no_order(left: list[ProcessFailure], chance: Any) -> None:
    found = first_cause(left, [ended(1)])
    assert found.cause == min(failure.cause for failure in left)
    chance.shuffle(left)
    assert first_cause(left, [ended(1)]) == found
