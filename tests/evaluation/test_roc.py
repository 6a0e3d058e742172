"""Tests of foveate.evaluation.roc."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import auc as trapezoids
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as reference_curve

from foveate.evaluation.roc import areas, resampled_areas, roc_curve


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


@pytest.mark.parametrize("decimals", [1, 2, 9])
@pytest.mark.parametrize(("n", "k"), [(4, 3), (139, 3), (500, 21)])
def test_areas_agree_with_scikit_learn(n: int, k: int, decimals: int) -> None:
    scores, known = some_scores(n, k, 1.5, decimals)
    ours = areas(scores, known, np.ones((1, n), np.float32))[0]
    theirs = [roc_auc_score(known == label, scores[:, label]) for label in range(k)]
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_weights_count_as_copies() -> None:
    scores, known = some_scores(60, 3, 1.0, 1)
    weights = np.random.default_rng(0).integers(0, 4, 60)
    ours = areas(scores, known, weights[np.newaxis].astype(np.float32))[0]
    copied = np.repeat(np.arange(60), weights)
    theirs = [roc_auc_score(known[copied] == k, scores[copied, k]) for k in range(3)]
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_a_label_without_images_or_without_others_has_no_area() -> None:
    scores = np.array([[0.2, 0.8], [0.6, 0.4]], np.float32)
    ours = areas(scores, np.zeros(2, np.intp), np.ones((1, 2), np.float32))
    assert np.isnan(ours).all()


def test_resampling_is_the_bootstrap_of_the_area() -> None:
    """Against one resample after the other through scikit-learn: same mean and spread."""
    scores, known = some_scores(120, 3, 0.8, 2)
    ours = resampled_areas(scores, known, resamples=4000, rng=np.random.default_rng(0))
    assert ours.shape == (4000, 3)
    rng = np.random.default_rng(1)
    members = [np.flatnonzero(known == k) for k in range(3)]
    theirs = []
    for _ in range(300):
        drawn = np.concatenate([rng.choice(m, len(m)) for m in members])
        theirs.append(roc_auc_score(known[drawn] == 0, scores[drawn, 0]))
    assert ours[:, 0].mean() == pytest.approx(np.mean(theirs), abs=4 * np.std(theirs) / 300**0.5)
    assert ours[:, 0].std() == pytest.approx(np.std(theirs), rel=0.2)


def test_resampling_is_repeatable_and_in_blocks() -> None:
    scores, known = some_scores(7500, 3, 2.0)
    first, again = (
        resampled_areas(scores, known, resamples=150, rng=np.random.default_rng(5)) for _ in "ab"
    )
    assert first.shape == (150, 3)
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(first[:, 0])) > 140


@pytest.mark.slow
def test_resampling_thousands_of_images_is_quick() -> None:
    scores, known = some_scores(7500, 10, 3.0)
    start = time.perf_counter()
    resampled_areas(scores, known, resamples=2000, rng=np.random.default_rng(0))
    assert time.perf_counter() - start < 3


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
