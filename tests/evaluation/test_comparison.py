"""Tests of foveate.evaluation.comparison."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from foveate.evaluation.comparison import Comparison, compare_paired
from foveate.evaluation.intervals import wilson

ANSWERS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=120)


def counted(both: int, only_a: int, only_b: int, neither: int) -> Comparison:
    a = [True] * (both + only_a) + [False] * (only_b + neither)
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return compare_paired(np.array(a), np.array(b))


def compared(answers: list[tuple[bool, bool]]) -> tuple[Comparison, Comparison]:
    a, b = np.array(answers).T
    return compare_paired(a, b), compare_paired(b, a)


@given(ANSWERS)
def test_what_always_holds(answers: list[tuple[bool, bool]]) -> None:
    one, _ = compared(answers)
    assert one.n == len(answers)
    assert 0 < one.p <= 1
    assert -1 <= one.difference.low <= one.difference.value <= one.difference.high <= 1
    assert one.difference.low < one.difference.high
    assert one.difference.value == pytest.approx(one.accuracy_a.value - one.accuracy_b.value)
    assert one.only_a - one.only_b == sum(a for a, _ in answers) - sum(b for _, b in answers)


@given(ANSWERS)
def test_the_order_of_the_two_changes_only_signs(answers: list[tuple[bool, bool]]) -> None:
    one, other = compared(answers)
    assert one.p == other.p
    assert (one.only_a, one.only_b) == (other.only_b, other.only_a)
    assert (one.accuracy_a, one.accuracy_b) == (other.accuracy_b, other.accuracy_a)
    assert one.difference.value == -other.difference.value
    assert one.difference.low == pytest.approx(-other.difference.high, abs=1e-12)
    assert one.difference.high == pytest.approx(-other.difference.low, abs=1e-12)


@given(ANSWERS, st.randoms())
def test_the_order_of_the_images_changes_nothing(
    answers: list[tuple[bool, bool]], random: Random
) -> None:
    mixed = list(answers)
    random.shuffle(mixed)
    assert compared(mixed) == compared(answers)


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(0, 0), (1, 0), (5, 0), (9, 0), (3, 12), (40, 40), (700, 620)]
)
def test_p_agrees_with_scipy(only_a: int, only_b: int) -> None:
    unequal = only_a + only_b
    wanted = binomtest(only_a, unequal).pvalue if unequal else 1.0
    assert counted(7, only_a, only_b, 3).p == pytest.approx(wanted, rel=1e-9)


def test_where_the_test_sees_a_difference_the_interval_does() -> None:
    for unequal in range(1, 120):
        for only_a in range(unequal + 1):
            one = counted(150 - unequal, only_a, unequal - only_a, 0)
            if one.distinguishable:
                assert one.difference.low > 0 or one.difference.high < 0


def test_accuracies_have_their_own_intervals() -> None:
    one = counted(100, 12, 3, 24)
    assert (one.accuracy_a, one.accuracy_b) == (wilson(112, 139), wilson(103, 139))


def test_a_clear_difference_in_words() -> None:
    better = (
        "Refined is better than frozen features by 6.5 points (3.4 to 11.8); chance alone would "
        "rarely do this (McNemar p = 0.004, n = 139)."
    )
    assert counted(125, 9, 0, 5).sentence("Refined", "frozen features") == better
    worse = better.replace("better", "worse")
    assert counted(125, 0, 9, 5).sentence("Refined", "frozen features") == worse
    assert "(McNemar p < 0.001, n = 1,039)" in counted(1000, 39, 0, 0).sentence("a", "b")


def test_no_clear_difference_in_words() -> None:
    said = counted(130, 3, 2, 4).sentence("Refined", "frozen features")
    assert said == (
        "Refined is not distinguishable from frozen features with 139 test images; the difference "
        "is 0.7 points (−3.2 to 4.9; McNemar p = 1.000)."
    )
    assert "is −0.7 points (−4.9 to 3.2;" in counted(130, 2, 3, 4).sentence("a", "b")


def test_a_doubtful_difference_in_words() -> None:
    """The score interval leaves out 0, the exact test does not yet reject."""
    said = counted(130, 5, 0, 4).sentence("Refined", "frozen features")
    assert said.startswith("Refined may be better than frozen features by 3.6 points (0.")
    assert said.endswith(
        "with 139 test images chance alone could still do this (McNemar p = 0.062)."
    )
    assert "may be worse than b by 3.6 points (0." in counted(130, 0, 5, 4).sentence("a", "b")


def test_the_same_answers_in_words() -> None:
    assert counted(130, 0, 0, 9).sentence("a", "b") == (
        "a and b are right on the same images, so they are not distinguishable with 139 test "
        "images; the difference is 0.0 points (−2.7 to 2.7)."
    )
    assert "with 1 test image;" in counted(1, 0, 0, 0).sentence("a", "b")


def test_as_many_but_other_answers_are_no_difference_without_a_sign() -> None:
    assert "the difference is 0.0 points (−" in counted(99, 4, 4, 1).sentence("a", "b")


@pytest.mark.parametrize(("p", "shown"), [(0.0496, "p = 0.0496"), (0.0502, "p = 0.0502")])
def test_rounding_does_not_put_p_on_the_limit(p: float, shown: str) -> None:
    assert shown in replace(counted(100, 15, 5, 0), p=p).sentence("a", "b")


@pytest.mark.parametrize(
    ("a", "b"),
    [([], []), ([True], [True, False]), ([[True]], [[True]])],
)
def test_answers_that_do_not_belong_together(a: list[bool], b: list[bool]) -> None:
    with pytest.raises(ValueError, match="cannot compare"):
        compare_paired(np.array(a, bool), np.array(b, bool))
