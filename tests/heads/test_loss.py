from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from foveate.heads.loss import CrossEntropy, Loss, Rows, SquaredHinge

ROWS = Rows(
    codes=np.array([0, 1, 2, 2, 0]),
    n_labels=3,
    weights=np.array([1, 2, 0.5, 1, 3], np.float32),
    folds=np.array([[0, 0, 1, 1, 0]]),
)


@pytest.fixture(params=[SquaredHinge, CrossEntropy])
def loss(request: pytest.FixtureRequest) -> Loss:
    made: Loss = request.param.of(ROWS, np.array([-1, 0])).with_c(0.7)
    return made


@pytest.fixture
def scores(loss: Loss) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(loss.shape).astype(np.float32)


def test_the_slope_is_the_derivative_of_the_value(loss: Loss, scores: NDArray[np.float32]) -> None:
    direction = np.random.default_rng(1).standard_normal(loss.shape).astype(np.float32)
    step = np.float32(1e-2)
    change = loss.at(scores + step * direction).value - loss.at(scores - step * direction).value
    slope = (loss.at(scores).slope * direction).sum((1, 2))
    np.testing.assert_allclose(change / (2 * step), slope, rtol=1e-2)


def test_bend_is_the_derivative_of_the_slope(loss: Loss, scores: NDArray[np.float32]) -> None:
    direction = np.random.default_rng(1).standard_normal(loss.shape).astype(np.float32)
    step = np.float32(1e-3)
    change = loss.at(scores + step * direction).slope - loss.at(scores - step * direction).slope
    np.testing.assert_allclose(change / (2 * step), loss.at(scores).bend(direction), atol=3e-3)


def test_density_is_the_mean_of_the_diagonal(loss: Loss, scores: NDArray[np.float32]) -> None:
    here = loss.at(scores)
    for column in range(loss.shape[1]):
        one = np.zeros(loss.shape, np.float32)
        one[:, column] = 1
        np.testing.assert_allclose(
            here.bend(one)[:, column].mean(-1), here.density[:, column], rtol=1e-5
        )


def test_held_out_rows_do_not_count(loss: Loss, scores: NDArray[np.float32]) -> None:
    slope = loss.at(scores).slope
    half = len(slope) // 2
    held = ROWS.folds[0] == 0
    assert not slope[half:][..., held].any()
    assert slope[:half][..., held].any()


def test_value_at_zero_scores() -> None:
    zero = np.zeros((3, 1, 5), np.float32)
    np.testing.assert_allclose(SquaredHinge.of(ROWS, np.array([-1])).at(zero).value, 7.5)
    zero = np.zeros((1, 3, 5), np.float32)
    np.testing.assert_allclose(
        CrossEntropy.of(ROWS, np.array([-1])).at(zero).value, 7.5 * np.log(3), rtol=1e-6
    )


def test_two_labels_are_one_problem() -> None:
    rows = Rows.in_one_fold(np.array([0, 1]), 2, np.ones(2, np.float32))
    assert SquaredHinge.of(rows, np.array([-1])).shape == (1, 1, 2)


def test_only_keeps_the_chosen_problems(loss: Loss, scores: NDArray[np.float32]) -> None:
    chosen = np.arange(len(scores)) == 1
    np.testing.assert_array_equal(
        loss.only(chosen).at(scores[chosen]).slope, loss.at(scores).slope[chosen]
    )
