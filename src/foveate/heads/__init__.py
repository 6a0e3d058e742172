"""Heads turn features into labels: linear SVM, logistic regression, random forest.

`fit_head` chooses C and calibrates inside the training images; `head_nodes` writes the result as
ONNX nodes, so that a classifier file needs neither scikit-learn nor a pickle.
"""

from .export import head_nodes
from .head import Head, HeadKind, fit_head
from .last_layer import LastLayer, head_of_last_layer
from .linear import LinearSVM, LogisticRegression
from .norm import unit_rows
from .search import C_GRID, SearchPoint

__all__ = [
    "C_GRID",
    "Head",
    "HeadKind",
    "LastLayer",
    "LinearSVM",
    "LogisticRegression",
    "SearchPoint",
    "fit_head",
    "head_nodes",
    "head_of_last_layer",
    "unit_rows",
]
