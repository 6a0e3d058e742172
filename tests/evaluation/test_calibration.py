"""Tests of foveate.evaluation.calibration."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from foveate.evaluation.calibration import BINS, calibration


def test_a_worked_example() -> None:
    """Four images at 0.8 of which three are right, one at 0.6 that is wrong."""
    probabilities = np.array([[0.8, 0.2]] * 4 + [[0.4, 0.6]], np.float32)
    measured = calibration(probabilities, np.array([0, 0, 0, 1, 0]))
    assert measured.error == pytest.approx(0.8 * 0.05 + 0.2 * 0.6, abs=1e-6)
    full = [one for one in measured.bins if one.accuracy.n]
    assert [one.accuracy.n for one in full] == [1, 4]
    assert full[1].confidence == pytest.approx(0.8)
    assert full[1].accuracy.value == 0.75
    assert measured.brier == pytest.approx((3 * 0.08 + 1.28 + 0.72) / 5, abs=1e-6)


def test_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), 300).astype(np.float32)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    known = rng.integers(0, 4, 300)
    measured = calibration(probabilities, known)
    exact = probabilities.astype(float)
    exact /= exact.sum(axis=1, keepdims=True)
    assert measured.log_loss == pytest.approx(log_loss(known, exact), rel=1e-5)
    assert measured.brier == pytest.approx(
        brier_score_loss(known, exact, labels=range(4), scale_by_half=False), rel=1e-5
    )


def test_probabilities_that_keep_their_word_have_a_small_error() -> None:
    rng = np.random.default_rng(0)
    first = rng.uniform(size=50_000)
    known = (rng.uniform(size=50_000) > first).astype(int)
    honest = calibration(np.c_[first, 1 - first].astype(np.float32), known)
    boasting = calibration(np.c_[first > 0.5, first <= 0.5].astype(np.float32), known)
    assert honest.error < 0.01
    assert boasting.error == pytest.approx(0.25, abs=0.01)


def test_certainty_falls_into_the_last_bin_and_costs_a_finite_loss() -> None:
    measured = calibration(np.array([[1, 0], [1, 0]], np.float32), np.array([0, 1]))
    assert len(measured.bins) == BINS
    assert measured.bins[-1].accuracy.n == 2
    assert measured.bins[0].accuracy.n == 0
    assert np.isfinite(measured.log_loss)
    assert measured.brier == 1
