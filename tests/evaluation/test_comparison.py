"""Tests of foveate.evaluation.comparison."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from foveate.evaluation.comparison import (
    Comparison,
    compare_paired,
    corrected,
    holm,
    points,
    roughly,
)
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
    assert (one.needed is None) == (one.difference.value == 0)
    assert one.needed is None or one.distinguishable or one.needed > one.n


@given(ANSWERS)
def test_the_order_of_the_two_changes_only_signs(answers: list[tuple[bool, bool]]) -> None:
    one, other = compared(answers)
    assert (one.p, one.needed) == (other.p, other.needed)
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


@pytest.mark.parametrize(
    ("only_a", "only_b", "n", "p"), [(12, 2, 50, 0.0129), (1, 7, 21, 0.0703), (6, 16, 161, 0.0525)]
)
def test_p_agrees_with_published_examples(only_a: int, only_b: int, n: int, p: float) -> None:
    """Two media for tubercle bacilli: Armitage and Berry (1994), Statistical Methods in Medical
    Research, page 127, exact p as StatsDirect gives it. Airways of children, and myeloma:
    Fagerland, Lydersen and Laake (2013), The McNemar test for binary matched-pairs data, BMC
    Medical Research Methodology 13:91, exact conditional test.
    """
    assert counted(n - only_a - only_b, only_a, only_b, 0).p == pytest.approx(p, abs=5e-5)


@pytest.mark.parametrize(("only_a", "only_b", "needed"), [(45, 5, 23), (30, 15, 155)])
def test_images_needed_agree_with_published_examples(only_a: int, only_b: int, needed: int) -> None:
    """Connor (1987), page 209, as two calculators work it out: powerandsamplesize.com, paired
    proportions, p = 0.45 and 0.05; clinicaltrials-tools, p = 0.30 and 0.15.
    """
    assert counted(100 - only_a - only_b, only_a, only_b, 0).needed == needed


@pytest.mark.parametrize(("only_a", "only_b"), [(9, 3), (12, 8), (5, 0), (3, 2), (20, 9)])
def test_so_many_images_would_show_the_difference_four_times_in_five(
    only_a: int, only_b: int
) -> None:
    """Exact power of the exact test, which is a little below that of the test Connor plans for."""
    one = counted(139 - only_a - only_b, only_a, only_b, 0)
    assert one.needed is not None
    unequal = only_a + only_b
    power = 0.0
    for count in range(min(one.needed, 1500) + 1):
        chance = binom.pmf(count, one.needed, unequal / 139)
        if chance < 1e-7:
            continue
        wins = np.arange(count + 1)
        p = 2 * binom.cdf(np.minimum(wins, count - wins), count, 0.5)
        power += chance * binom.pmf(wins, count, only_a / unequal)[p < 0.05].sum()
    assert 0.74 < power < 0.84


def test_the_exact_test_cannot_say_anything_about_five_images() -> None:
    one = counted(0, 5, 0, 0)
    assert not one.distinguishable
    assert one.needed == 6
    assert counted(0, 6, 0, 0).distinguishable


def test_many_comparisons_need_more_images() -> None:
    one = counted(130, 6, 2, 1)
    alone, _, _ = corrected([one, one, one])
    assert one.needed is not None
    assert alone.needed is not None
    assert one.needed < alone.needed < 2 * one.needed


def test_holm_agrees_with_a_published_example() -> None:
    """From the documentation of pingouin.holm."""
    assert holm([0.50, 0.003, 0.32, 0.054, 0.0003]) == pytest.approx(
        (0.64, 0.012, 0.64, 0.162, 0.0015)
    )
    assert holm([0.03]) == (0.03,)
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), max_size=8), st.randoms())
def test_what_always_holds_of_holm(p: list[float], random: Random) -> None:
    adjusted = holm(p)
    assert all(a <= b <= min(1, len(p) * a) for a, b in zip(p, adjusted, strict=True))
    # Holm's definition: sorted p rejected as long as each is below its own share of the level.
    expected, going_on = set(), True
    for rank, one in enumerate(sorted(p)):
        going_on = going_on and one * (len(p) - rank) < 0.05
        if going_on:
            expected.add(one)
    assert {one for one, after in zip(p, adjusted, strict=True) if after < 0.05} == expected
    order = list(range(len(p)))
    random.shuffle(order)
    assert holm([p[k] for k in order]) == tuple(adjusted[k] for k in order)


def test_luck_has_one_chance_in_twenty_whatever_the_number_of_comparisons() -> None:
    """400 times, five classifiers as good as the first: one looks better or worse by luck."""
    rng = np.random.default_rng(0)
    alarms = plain = 0
    for _ in range(400):
        first = rng.random(300) < 0.8
        found = []
        for _ in range(5):
            other = np.where(rng.random(300) < 0.4, rng.random(300) < 0.8, first)
            found.append(compare_paired(other, first))
        alarms += any(one.distinguishable for one in corrected(found))
        plain += any(one.distinguishable for one in found)
    # One in twenty, and two standard errors of 400 trials.
    assert alarms / 400 < 0.05 + 0.022
    assert plain / 400 > 0.1


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
        "Refined is not distinguishable from frozen features with 139 test images; you would need "
        "about 5,500. The difference is 0.7 points (−3.2 to 4.9; McNemar p = 1.000)."
    )
    assert "is −0.7 points (−4.9 to 3.2;" in counted(130, 2, 3, 4).sentence("a", "b")


def test_a_doubtful_difference_in_words() -> None:
    """The score interval leaves out 0, the exact test does not yet reject."""
    said = counted(130, 5, 0, 4).sentence("Refined", "frozen features")
    assert said.startswith("Refined may be better than frozen features by 3.6 points (0.")
    assert said.endswith(
        "with 139 test images chance alone could still do this (McNemar p = 0.062); you would "
        "need about 220."
    )
    assert "may be worse than b by 3.6 points (0." in counted(130, 0, 5, 4).sentence("a", "b")


def test_a_correction_in_words() -> None:
    clear, doubtful = corrected([counted(125, 9, 0, 5), counted(125, 7, 0, 7)])
    assert "(McNemar p = 0.008, corrected for 2 comparisons, n = 139)" in clear.sentence("a", "b")
    assert counted(125, 7, 0, 7).distinguishable
    assert "McNemar p = 0.016, corrected for 2 comparisons" in doubtful.sentence("a", "b")
    many = corrected([counted(125, 7, 0, 7)] * 4)[0].sentence("a", "b")
    assert many.startswith("a may be better than b by 5.0 points")
    assert "could still do this (McNemar p = 0.062, corrected for 4 comparisons)" in many


@pytest.mark.parametrize(
    ("number", "said"),
    [(7, "7"), (96, "96"), (118, "120"), (5425, "5,400"), (996_000, "1,000,000")],
)
def test_a_number_as_a_person_says_it(number: int, said: str) -> None:
    assert roughly(number) == said


@pytest.mark.parametrize(
    ("share", "said"), [(0.0647, "+6.5"), (-0.0072, "−0.7"), (-0.0001, "0.0"), (0.0, "0.0")]
)
def test_points(share: float, said: str) -> None:
    assert points(share, signed=True) == said


def test_json_is_plain() -> None:
    written = counted(130, 3, 2, 4).to_json()
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    assert written["difference"] == pytest.approx(1 / 139)
    assert written["needed"] == counted(130, 3, 2, 4).needed
    assert counted(130, 3, 3, 3).to_json()["needed"] is None


def test_the_same_answers_in_words() -> None:
    assert counted(130, 0, 0, 9).sentence("a", "b") == (
        "a and b are right on the same images, so they are not distinguishable with 139 test "
        "images; the difference is 0.0 points (−2.7 to 2.7)."
    )
    assert "with 1 test image;" in counted(1, 0, 0, 0).sentence("a", "b")


def test_as_many_but_other_answers_are_no_difference_without_a_sign() -> None:
    said = counted(99, 4, 4, 1).sentence("a", "b")
    assert "with 108 test images. The difference is 0.0 points (−" in said


@pytest.mark.parametrize(("p", "shown"), [(0.0496, "p = 0.0496"), (0.0502, "p = 0.0502")])
def test_rounding_does_not_put_p_on_the_limit(p: float, shown: str) -> None:
    assert shown in replace(counted(100, 15, 5, 0), p=p, p_holm=p).sentence("a", "b")


@pytest.mark.parametrize(
    ("a", "b"),
    [([], []), ([True], [True, False]), ([[True]], [[True]])],
)
def test_answers_that_do_not_belong_together(a: list[bool], b: list[bool]) -> None:
    with pytest.raises(ValueError, match="cannot compare"):
        compare_paired(np.array(a, bool), np.array(b, bool))
