"""Heads turn features into labels: linear SVM, logistic regression, random forest.

`fit_head` chooses C and calibrates inside the training images; `head_nodes` writes the result as
ONNX nodes, so that a classifier file needs neither scikit-learn nor a pickle.
"""

from .export import head_nodes
from .head import (
    Head,
    HeadKind,
    LastLayer,
    encode,
    fit_head,
    head_of_last_layer,
    rows_to_search,
    weights_of,
)
from .linear import LinearSVM, LogisticRegression
from .norm import unit_rows
from .search import SearchPoint
from .trees import Tree, TreeForest

__all__ = [
    "Head",
    "HeadKind",
    "LastLayer",
    "LinearSVM",
    "LogisticRegression",
    "SearchPoint",
    "Tree",
    "TreeForest",
    "encode",
    "fit_head",
    "head_nodes",
    "head_of_last_layer",
    "rows_to_search",
    "unit_rows",
    "weights_of",
]
