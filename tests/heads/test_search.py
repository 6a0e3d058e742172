from __future__ import annotations

import numpy as np
import pytest

from foveate.heads import LinearSVM, LogisticRegression
from foveate.heads.basis import Basis
from foveate.heads.folds import deal_folds
from foveate.heads.loss import CrossEntropy, Rows, SquaredHinge
from foveate.heads.norm import unit_rows
from foveate.heads.search import _TOLERANCE, Search, search_c
from foveate.settings import Settings
from support.point_clusters import clusters


def search(
    loss: type[SquaredHinge] | type[CrossEntropy], n_labels: int, c_grid: tuple[float, ...]
) -> tuple[Search, Rows, np.ndarray]:
    features, labels = clusters(200, 60, n_labels)
    features = unit_rows(features)
    codes = np.unique(labels, return_inverse=True)[1]
    folds = deal_folds(codes, groups=np.arange(200), folds=4, repeats=2, seed=0)
    assert folds is not None
    rows = Rows(codes, n_labels, np.ones(200, np.float32), folds)
    return search_c(Basis.of(features), rows, loss=loss, c_grid=c_grid), rows, features


@pytest.mark.parametrize("n_labels", [2, 4])
@pytest.mark.parametrize("kind", [LinearSVM, LogisticRegression])
def test_held_out_scores_are_those_of_a_fit_without_the_fold(
    kind: type[LinearSVM] | type[LogisticRegression],
    n_labels: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(_TOLERANCE, kind.loss, 1e-7)
    found, rows, features = search(kind.loss, n_labels, (0.1,))
    assert found.scores.shape == (200, n_labels)
    for fold in range(4):
        held = rows.folds[0] == fold
        fitted = kind(0.1, tol=1e-7).fit(features[~held], rows.codes[~held])
        expected = fitted.decision_function(features[held])
        got = found.scores[held]
        if n_labels == 2:
            scale = 2 if kind is LinearSVM else 1
            got = (got[:, 1] - got[:, 0]) / scale
        np.testing.assert_allclose(got, expected, atol=2e-3)


def test_the_best_c_is_chosen_and_every_c_is_told() -> None:
    found, rows, _ = search(SquaredHinge, 4, tuple(reversed(Settings().c)))
    assert [point.c for point in found.points] == list(Settings().c)
    best = max(point.accuracy for point in found.points)
    assert found.c == min(point.c for point in found.points if point.accuracy == best)
    assert all(point.n == 200 and 0 <= point.deviation < 0.5 for point in found.points)
    right = found.scores.argmax(1) == rows.codes
    of_first_deal = np.mean([right[rows.folds[0] == fold].mean() for fold in range(4)])
    assert abs(of_first_deal - best) < 0.1


def test_of_equals_the_smallest_c_wins() -> None:
    features, labels = clusters(60, 30, 2, spread=0.01)
    codes = np.unique(labels, return_inverse=True)[1]
    folds = deal_folds(codes, groups=np.arange(60), folds=3, repeats=1, seed=0)
    assert folds is not None
    rows = Rows(codes, 2, np.ones(60, np.float32), folds)
    found = search_c(Basis.of(unit_rows(features)), rows, loss=SquaredHinge, c_grid=(10, 1, 100))
    assert [point.accuracy for point in found.points] == [1, 1, 1]
    assert found.c == 1
