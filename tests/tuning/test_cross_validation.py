from __future__ import annotations

import numpy as np
import pytest

from foveate.tuning.cross_validation import CrossValidation, difference


def result(right: list[float], groups: list[int] | None = None) -> CrossValidation:
    return CrossValidation(
        np.array(right, np.float32), np.array(groups or range(len(right))), 1.0, 0.1
    )


def test_accuracy_is_the_share_that_was_right_where_it_was_held_out() -> None:
    found = result([1, 0.5, np.nan, 0]).accuracy
    assert (found.value, found.n) == (0.5, 3)
    assert found.low < 0.5 < found.high


def test_copies_count_once() -> None:
    copies = result([1, 1, 1, 0] * 20, [0, 1, 2, 3] * 20)
    assert copies.accuracy.value == 0.75
    assert copies.accuracy.n == 4


def test_nothing_held_out_is_not_known() -> None:
    assert not result([np.nan] * 3).accuracy.known


def test_difference_is_agresti_and_mins() -> None:
    """Of 100 images one alone has 12 right and the other alone 4."""
    one = result([1] * 12 + [0] * 4 + [1] * 84)
    other = result([0] * 12 + [1] * 4 + [1] * 84)
    found = difference(one, other)
    assert found.value == pytest.approx(0.08)
    b, c, n = 12.5, 4.5, 102
    theirs = np.sqrt(b + c - (b - c) ** 2 / n) / n
    assert found.standard_error == pytest.approx(theirs, rel=0.01)


def test_who_agree_on_every_image_may_still_differ() -> None:
    one = result([1] * 50)
    assert difference(one, one).value == 0
    assert difference(one, one).standard_error == pytest.approx(1 / 52)


def test_only_images_that_both_were_judged_on_count() -> None:
    found = difference(result([1, 1, np.nan, 0]), result([np.nan, 0, 1, 0]))
    assert found.value == 0.5
    nothing = difference(result([1, np.nan]), result([np.nan, 1]))
    assert (nothing.value, nothing.standard_error) == (0, 1)


@pytest.mark.parametrize("copies", [1, 5])
def test_the_standard_error_is_what_chance_does(copies: int) -> None:
    """Also where every image has copies, which are right together."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(120), copies)
    values, errors = [], []
    for _ in range(400):
        one, other = (np.repeat(rng.random(120) < p, copies) for p in (0.9, 0.8))
        found = difference(
            CrossValidation(one.astype(np.float32), groups, 1.0, 0.1),
            CrossValidation(other.astype(np.float32), groups, 1.0, 0.1),
        )
        values.append(found.value)
        errors.append(found.standard_error)
    assert np.mean(values) == pytest.approx(0.1, abs=0.01)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.1)
