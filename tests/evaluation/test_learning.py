"""Tests of foveate.evaluation.learning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from foveate.evaluation.learning import LearningPoint, advice


def course(train: Sequence[float], validation: Sequence[float | None]) -> list[LearningPoint]:
    return [LearningPoint(*errors) for errors in zip(train, validation, strict=True)]


def test_a_gap_beyond_chance_is_overfitting() -> None:
    points = course([0.4, 0.0], [0.5, 0.2])
    said = advice(points, 1, n_train=600, n_validation=100)
    assert said == (
        "It overfits: it is wrong on 20.0\u202f% of 100 validation images but only on 0.0\u202f% "
        "of 600 that it learned from, a gap of 20.0 points (13.3 to 28.9) that chance does not "
        'explain; try `augment = "strong"`, a higher `dropout` or `weight_decay`, or add images.'
    )


def test_the_same_gap_of_few_images_is_noise() -> None:
    points = course([0.4, 0.0], [0.5, 0.2])
    assert advice(points, 1, n_train=30, n_validation=5) is None


def test_a_sure_but_small_gap_is_not_worth_a_word() -> None:
    points = course([0.01], [0.025])
    assert advice(points, 0, n_train=100_000, n_validation=100_000) is None


def test_the_gap_is_that_of_the_kept_epoch() -> None:
    points = course([0.05, 0.0], [0.05, 0.3])
    assert advice(points, 0, n_train=600, n_validation=200) is None
    assert "overfits" in (advice(points, 1, n_train=600, n_validation=200) or "")


def test_a_high_error_on_its_own_images_is_underfitting() -> None:
    said = advice(course([0.5] * 8, [0.5] * 8), 7, n_train=400, n_validation=80)
    assert said == (
        "It underfits: in the end it is wrong on 50.0\u202f% of the images that it learned from "
        "(45.1 to 54.9\u202f%, n = 400); try another `learning_rate`, more `epochs`, or "
        '`depth = "all"`.'
    )


def test_an_error_that_still_falls_asks_for_epochs_first() -> None:
    falling = np.linspace(0.9, 0.3, 8)
    said = advice(course(falling, falling), 7, n_train=400, n_validation=80)
    assert "still falling; raise `epochs` first" in (said or "")
    few = advice(course(falling, falling), 7, n_train=20, n_validation=4)
    assert "still falling" not in (few or "")


@pytest.mark.parametrize(("error", "n"), [(0.2, 10), (0.1, 400), (0.12, 100)])
def test_a_high_error_within_noise_is_not_underfitting(error: float, n: int) -> None:
    assert advice(course([error], [error]), 0, n_train=n, n_validation=n) is None


def test_the_larger_part_of_the_error_is_spoken_of() -> None:
    """Both are beyond chance: 20 + 50 points, and 50 + 20."""
    gap = advice(course([0.2], [0.7]), 0, n_train=500, n_validation=500)
    own = advice(course([0.5], [0.7]), 0, n_train=500, n_validation=500)
    assert (gap or "").startswith("It overfits")
    assert (own or "").startswith("It underfits")


def test_without_validation_images_only_underfitting_can_be_seen() -> None:
    assert advice(course([0.3, 0.0], [None, None]), 1, n_train=400, n_validation=0) is None
    said = advice(course([0.6, 0.5], [None, None]), 1, n_train=400, n_validation=0)
    assert (said or "").startswith("It underfits")


def test_without_anything_there_is_nothing_to_say() -> None:
    assert advice([], 0, n_train=0, n_validation=0) is None
    assert advice(course([0.0], [None]), 0, n_train=0, n_validation=0) is None


@pytest.mark.parametrize("error", [0.01, 0.05, 0.2])
@pytest.mark.parametrize(("n_train", "n_validation"), [(60, 10), (100, 25)])
def test_chance_alone_is_seldom_called_overfitting(
    error: float, n_train: int, n_validation: int
) -> None:
    """Exact share of trainings so called whose true error is the same on both sides."""
    called = 0.0
    for a in range(n_train + 1):
        for b in range(n_validation + 1):
            weight = binom.pmf(a, n_train, error) * binom.pmf(b, n_validation, error)
            if weight > 1e-7:
                points = course([a / n_train], [b / n_validation])
                said = advice(points, 0, n_train=n_train, n_validation=n_validation)
                called += weight * (said or "").startswith("It overfits")
    assert called < 0.03


@given(
    st.lists(st.tuples(st.floats(0, 1), st.none() | st.floats(0, 1)), min_size=1, max_size=60),
    st.integers(0, 59),
    st.integers(0, 500),
    st.integers(0, 500),
)
def test_any_course_is_one_sentence_or_none(
    errors: list[tuple[float, float | None]], best: int, n_train: int, n_validation: int
) -> None:
    points = [LearningPoint(*pair) for pair in errors]
    said = advice(points, best % len(points), n_train=n_train, n_validation=n_validation)
    assert said is None or (said.endswith(".") and said.count(". ") == 0 and "nan" not in said)
