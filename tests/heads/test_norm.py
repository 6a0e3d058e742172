from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from foveate.heads.norm import softmax, unit_rows


@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1e6))
def test_rows_have_unit_length_whatever_their_scale(seed: int, scale: float) -> None:
    features = np.random.default_rng(seed).standard_normal((4, 7)).astype(np.float32)
    unit = unit_rows(features * np.float32(scale))
    assert unit.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(unit, unit_rows(features), atol=1e-6)


def test_a_zero_row_stays_zero() -> None:
    assert not unit_rows(np.zeros((1, 3), np.float32)).any()


def test_softmax_of_huge_scores_is_finite() -> None:
    probabilities = softmax(np.array([[1e30, 0, -1e30]], np.float32))
    np.testing.assert_array_equal(probabilities, [[1, 0, 0]])
