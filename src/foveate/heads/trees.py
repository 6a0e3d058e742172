"""The trees of a random forest as plain arrays, whatever grew them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Rows that walk down a tree together: their nodes and features stay in the cache.
_ROWS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """One decision tree of m nodes; node 0 is the root.

    A row goes left where its float32 feature is <= the float64 threshold.

    Attributes:
        left: (m,) int, the node on the left; −1 in a leaf.
        right: (m,) int, the node on the right; −1 in a leaf.
        feature: (m,) int, the column to compare; any in a leaf.
        threshold: (m,) float64, what to compare it with; any in a leaf.
        shares: (m, K) float64, how a leaf shares its training rows among the labels: sums to 1;
            0 in every other node.

    Raises:
        ValueError: the arrays are not those of one tree.
    """

    left: NDArray[np.intp]
    right: NDArray[np.intp]
    feature: NDArray[np.intp]
    threshold: NDArray[np.float64]
    shares: NDArray[np.float64]

    def __post_init__(self) -> None:
        m = len(self.left)
        fits = all(len(column) == m for column in (self.right, self.feature, self.threshold))
        if not m or not fits or self.shares.ndim != 2 or len(self.shares) != m:
            raise ValueError("the arrays of a tree have one row for each node")
        inner = self.left >= 0
        children = np.concatenate([self.left[inner], self.right[inner]])
        if not np.array_equal(np.sort(children), np.arange(1, m)):
            raise ValueError("every node of a tree but the root has one parent")

    @classmethod
    def of(
        cls,
        left: NDArray[np.integer[Any]],
        right: NDArray[np.integer[Any]],
        feature: NDArray[np.integer[Any]],
        threshold: NDArray[np.float64],
        counts: NDArray[np.float64],
    ) -> Tree:
        """A tree of (m, K) counts, which any node may have, instead of the shares of leaves."""
        counts = counts * (left < 0)[:, None]
        total = counts.sum(1, keepdims=True)
        shares = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
        left, right, feature = (column.astype(np.intp) for column in (left, right, feature))
        return cls(left, right, feature, threshold.astype(np.float64), shares)

    @classmethod
    def of_sklearn(cls, tree: Any) -> Tree:
        """A scikit-learn tree, which is the `tree_` of its estimator."""
        return cls.of(
            tree.children_left,
            tree.children_right,
            tree.feature,
            tree.threshold,
            tree.value[:, 0, :],
        )

    def leaves(self, rows: NDArray[np.float32]) -> NDArray[np.intp]:
        """The leaf (n,) that each of (n, d) float32 rows ends in."""
        node = np.zeros(len(rows), np.intp)
        moving = np.flatnonzero(self.left[node] >= 0)
        while len(moving):
            here = node[moving]
            goes_left = rows[moving, self.feature[here]] <= self.threshold[here]
            node[moving] = np.where(goes_left, self.left[here], self.right[here])
            moving = moving[self.left[node[moving]] >= 0]
        return node


@dataclass(frozen=True, slots=True, eq=False)
class TreeForest:
    """A random forest that averages the shares of its trees, as scikit-learn's does.

    Attributes:
        trees: one or more, all with the same labels.
    """

    trees: tuple[Tree, ...]

    def predict_proba(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mean shares (n, K) float64 of (n, d) float32 rows."""
        total = np.zeros((len(rows), self.trees[0].shares.shape[1]))
        for start in range(0, len(rows), _ROWS):
            some = slice(start, start + _ROWS)
            for tree in self.trees:
                total[some] += tree.shares[tree.leaves(rows[some])]
        return total / len(self.trees)


def trees_of(forest: Any) -> Sequence[Tree]:
    """The trees of a `TreeForest`, or of scikit-learn's RandomForestClassifier."""
    if isinstance(forest, TreeForest):
        return forest.trees
    return [Tree.of_sklearn(estimator.tree_) for estimator in forest.estimators_]
