from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as SklearnLogistic
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from foveate.heads import LinearSVM, LogisticRegression
from foveate.heads.norm import unit_rows
from support.point_clusters import clusters


@parametrize_with_checks([LinearSVM(), LogisticRegression()])
def test_scikit_learn_contract(estimator: Any, check: Any) -> None:
    check(estimator)


def hinge_objective(
    fitted: Any, features: NDArray[Any], labels: NDArray[Any], weights: NDArray[Any]
) -> float:
    """½‖(w, b)‖² + C Σ cᵢ max(0, 1 − yᵢ(w·xᵢ + b))², summed over the labels, in float64."""
    total = 0.0
    positives = fitted.classes_ if len(fitted.coef_) > 1 else fitted.classes_[1:]
    for w, b, label in zip(
        fitted.coef_.astype(float), fitted.intercept_.astype(float), positives, strict=True
    ):
        signs = np.where(labels == label, 1, -1)
        slack = np.maximum(0, 1 - signs * (features.astype(float) @ w + b))
        total += 0.5 * (w @ w + b * b) + fitted.C * (weights * slack**2).sum()
    return total


@pytest.mark.parametrize(("n", "d", "n_labels"), [(60, 200, 3), (300, 40, 4), (80, 80, 2)])
@pytest.mark.parametrize("c", [1e-4, 1e-2, 1.0, 100.0])
def test_same_minimum_as_liblinear(n: int, d: int, n_labels: int, c: float) -> None:
    features, labels = clusters(n, d, n_labels)
    features = unit_rows(features)
    ours = LinearSVM(c).fit(features, labels)
    theirs = LinearSVC(C=c, dual=n < d, tol=1e-7, max_iter=200_000).fit(features, labels)
    ones = np.ones(n)
    expected = hinge_objective(theirs, features, labels, ones)
    assert hinge_objective(ours, features, labels, ones) == pytest.approx(expected, rel=1e-3)
    fresh = unit_rows(clusters(2000, d, n_labels, seed=0)[0])
    assert (ours.predict(fresh) == theirs.predict(fresh)).mean() >= 0.995
    assert ours.coef_.shape == theirs.coef_.shape
    assert ours.intercept_.shape == theirs.intercept_.shape


def test_balanced_weights_are_those_of_liblinear() -> None:
    features, labels = clusters(300, 40, 3)
    features, rare = unit_rows(features), labels == "a"
    features, rare = features[: 100 + 50], rare[: 100 + 50]
    ours = LinearSVM(1.0, class_weight="balanced").fit(features, rare)
    theirs = LinearSVC(C=1.0, class_weight="balanced", dual=False, tol=1e-7).fit(features, rare)
    np.testing.assert_allclose(
        ours.decision_function(features), theirs.decision_function(features), atol=0.02
    )
    unweighted = LinearSVM(1.0).fit(features, rare)
    assert ours.predict(features).sum() > unweighted.predict(features).sum()


@pytest.mark.parametrize("c", [1e-2, 1.0, 100.0])
def test_same_probabilities_as_scikit_learn(c: float) -> None:
    features, labels = clusters(200, 50, 4)
    features = unit_rows(features)
    ours = LogisticRegression(c, tol=1e-7).fit(features, labels)
    with_constant = np.hstack([features, np.ones((200, 1))])  # its intercept is not penalised
    theirs = SklearnLogistic(C=c, fit_intercept=False, tol=1e-8, max_iter=10_000)
    theirs.fit(with_constant, labels)
    np.testing.assert_allclose(
        ours.predict_proba(features), theirs.predict_proba(with_constant), atol=2e-3
    )


def test_names_of_labels_come_back() -> None:
    features, labels = clusters(90, 20, 3, spread=0.1)
    fitted = LinearSVM().fit(unit_rows(features), labels)
    assert (fitted.predict(unit_rows(features)) == labels).all()
    assert fitted.coef_.dtype == np.float32


def test_an_unfinished_fit_warns() -> None:
    features, labels = clusters(90, 20, 3)
    with pytest.warns(ConvergenceWarning, match="after 1 steps"):
        LinearSVM(100.0, max_iter=1).fit(features, labels)


def test_c_must_be_positive() -> None:
    features, labels = clusters(90, 20, 3)
    with pytest.raises(ValueError, match="C must be positive"):
        LinearSVM(0.0).fit(features, labels)


def test_fits_are_repeatable() -> None:
    features, labels = clusters(200, 60, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, two = (LinearSVM(10.0).fit(features, labels).coef_ for _ in range(2))
    np.testing.assert_array_equal(one, two)
