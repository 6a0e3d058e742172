from __future__ import annotations

import numpy as np
import pytest

from foveate.heads.basis import Basis
from support.point_clusters import clusters


@pytest.mark.parametrize(("n", "d"), [(30, 80), (60, 60), (61, 60), (200, 20)])
def test_inner_products_are_those_of_the_features_and_a_constant(n: int, d: int) -> None:
    features, _ = clusters(n, d, 3)
    with_constant = np.hstack([features, np.ones((n, 1), np.float32)])
    basis = Basis.of(features)
    expected = with_constant @ with_constant.T
    np.testing.assert_allclose(basis.rows @ basis.rows.T, expected, atol=1e-5 * expected.max())
    np.testing.assert_allclose(basis.rows @ basis.axes, with_constant, atol=2e-4)
    assert basis.size <= min(n, d + 1)


@pytest.mark.parametrize(("n", "d"), [(30, 80), (200, 20)])
def test_divide_solves_against_the_second_moments(n: int, d: int) -> None:
    basis = Basis.of(clusters(n, d, 3)[0])
    solution = basis.divide(basis.rows[:2], np.array([0.0, 0.5], np.float32))
    np.testing.assert_allclose(solution[0], basis.rows[0], rtol=1e-6)
    back = solution[1] + 0.5 * basis.rows.T @ (basis.rows @ solution[1])
    np.testing.assert_allclose(back, basis.rows[1], atol=1e-3)


def test_duplicate_rows_add_no_coordinate() -> None:
    features, _ = clusters(20, 50, 2)
    assert Basis.of(np.vstack([features, features])).size == 20


def test_weights_come_back_in_terms_of_the_features() -> None:
    features, _ = clusters(20, 50, 2)
    basis = Basis.of(features)
    weights = np.random.default_rng(0).standard_normal((2, basis.size)).astype(np.float32)
    coef, intercept = basis.to_features(weights)
    assert coef.shape == (2, 50)
    np.testing.assert_allclose(
        features @ coef.T + intercept, basis.rows @ weights.T, rtol=1e-3, atol=1e-3
    )
