from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier

from foveate.heads import Head, Tree, TreeForest, fit_head, unit_rows
from foveate.heads.trees import trees_of
from support.exported_heads import run
from support.point_clusters import clusters


def forest_of(head: Head) -> TreeForest:
    return TreeForest(tuple(trees_of(head.estimator)))


@pytest.mark.parametrize("n_labels", [2, 5])
def test_arrays_say_what_scikit_learn_says(n_labels: int) -> None:
    features, labels = clusters(5000, 30, n_labels, spread=2)
    head = fit_head(features[:200], labels[:200], kind="forest", trees=64)
    rows = unit_rows(features)
    assert isinstance(head.estimator, RandomForestClassifier)
    np.testing.assert_allclose(
        forest_of(head).predict_proba(rows), head.estimator.predict_proba(rows), atol=1e-12
    )


def test_the_graph_says_what_the_arrays_say() -> None:
    features, labels = clusters(1000, 30, 3, spread=2)
    fitted = fit_head(features[:200], labels[:200], kind="forest", trees=64)
    head = Head("forest", fitted.labels, None, forest_of(fitted), 0.5, (), None)
    scores, probabilities = run(head, features)
    np.testing.assert_allclose(scores, head.scores(features), atol=1e-5)
    np.testing.assert_allclose(probabilities, head.probabilities(features), atol=1e-5)


@given(st.floats(-1, 1), st.integers(-2, 2))
def test_a_row_on_the_threshold_goes_left_here_and_in_the_graph(
    threshold: float, steps: int
) -> None:
    tree = Tree.of(
        np.array([1, -1, -1]),
        np.array([2, -1, -1]),
        np.array([0, -1, -1]),
        np.array([threshold, 0, 0]),
        np.array([[0, 0], [3.0, 1.0], [0, 5.0]]),
    )
    head = Head("forest", ("a", "b"), None, TreeForest((tree,)), 1.0, (), None)
    # Of unit length, with the first column as near to the threshold as float32 comes.
    first = np.float32(threshold)
    for _ in range(abs(steps)):
        first = np.nextafter(first, np.float32(np.sign(steps)))
    row = np.array([[first, np.sqrt(max(0.0, 1 - float(first) ** 2))]], np.float32)
    compared = float(unit_rows(row)[0, 0])
    expected = [[0.75, 0.25]] if compared <= threshold else [[0.0, 1.0]]
    np.testing.assert_array_equal(head.estimator.predict_proba(unit_rows(row)), expected)
    np.testing.assert_allclose(run(head, row)[0], head.scores(row), atol=1e-6)


def test_one_leaf_is_a_tree() -> None:
    none = np.array([-1])
    tree = Tree.of(none, none, none, np.array([0.0]), np.array([[1.0, 3.0]]))
    shares = TreeForest((tree,)).predict_proba(np.zeros((2, 4), np.float32))
    np.testing.assert_array_equal(shares, [[0.25, 0.75]] * 2)


def test_arrays_that_are_no_tree_are_refused() -> None:
    some = np.array([0.0, 0, 0])
    with pytest.raises(ValueError, match="one parent"):
        Tree.of(np.array([1, -1, -1]), np.array([1, -1, -1]), np.zeros(3, int), some, some[:, None])
    with pytest.raises(ValueError, match="one row for each node"):
        Tree.of(np.array([-1]), np.array([-1]), np.zeros(1, int), some, np.ones((1, 2)))
