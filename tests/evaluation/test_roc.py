"""Tests of foveate.evaluation.roc."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import auc as trapezoids
from sklearn.metrics import roc_curve as reference_curve

from foveate.evaluation.roc import roc_curve


def some_scores(
    n: int, k: int, strength: float, decimals: int = 9
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    rng = np.random.default_rng(3)
    known = np.r_[np.arange(k), rng.integers(0, k, n - k)].astype(np.intp)
    scores = rng.normal(size=(n, k))
    scores[np.arange(n), known] += strength
    scores = np.exp(scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores.round(decimals).astype(np.float32), known


@pytest.mark.parametrize("decimals", [1, 9])
def test_curve_agrees_with_scikit_learn(decimals: int) -> None:
    scores, known = some_scores(100, 3, 1.0, decimals)
    ours = roc_curve(scores[:, 1], known == 1)
    false, true, _ = reference_curve(known == 1, scores[:, 1], drop_intermediate=False)
    np.testing.assert_allclose(
        trapezoids(ours.false_positive_rate, ours.true_positive_rate), trapezoids(false, true)
    )
    for x, y in zip(ours.false_positive_rate, ours.true_positive_rate, strict=True):
        assert np.hypot(false - x, true - y).min() < 1e-12


def test_curve_is_thinned_for_drawing() -> None:
    scores, known = some_scores(5000, 3, 0.5)
    full = roc_curve(scores[:, 1], known == 1, points=10**9)
    thin = roc_curve(scores[:, 1], known == 1)
    assert len(full.true_positive_rate) > 1000
    assert len(thin.true_positive_rate) <= 200
    for rate in (thin.false_positive_rate, thin.true_positive_rate):
        assert rate[0] == 0
        assert rate[-1] == 1
        assert (np.diff(rate) >= 0).all()
    wanted = trapezoids(full.false_positive_rate, full.true_positive_rate)
    got = trapezoids(thin.false_positive_rate, thin.true_positive_rate)
    assert got == pytest.approx(wanted, abs=0.005)
