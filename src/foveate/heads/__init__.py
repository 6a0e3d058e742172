"""Heads turn features into labels: linear SVM, logistic regression, random forest.

`fit_head` chooses C and calibrates inside the training images; `head_nodes` writes the result as
ONNX nodes, so that a classifier file needs neither scikit-learn nor a pickle.
"""

from .export import head_nodes
from .head import Head, HeadKind, fit_head
from .linear import LinearSVM, LogisticRegression
from .search import C_GRID, SearchPoint

__all__ = [
    "C_GRID",
    "Head",
    "HeadKind",
    "LinearSVM",
    "LogisticRegression",
    "SearchPoint",
    "fit_head",
    "head_nodes",
]
