"""Trees of a random forest in a model file are trees: they end, and stay within their numbers.

A runtime walks from node to node until it meets a leaf. Two nodes that name each other would keep
it for ever, and a number that is too large would have it read beyond the end of its memory.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray

from foveate.errors import ModelFileError

_NODES = ("nodes_treeids", "nodes_nodeids", "nodes_featureids")
_CHILDREN = ("nodes_truenodeids", "nodes_falsenodeids")
_LEAVES = ("target_treeids", "target_nodeids", "target_ids")
_OTHERS = ("nodes_modes", "nodes_values", "target_weights")
_SETTINGS = ("aggregate_function", "n_targets", "post_transform")
_MODES = {b"LEAF", b"BRANCH_LEQ"}
_MOST = 2**31
"""Of an id: the product of two stays within 64 bits."""

Columns = Mapping[str, NDArray[np.int64]]


def check_forest(node: onnx.NodeProto) -> None:
    """Refuse a TreeEnsembleRegressor that is not as `heads.export` makes it.

    Raises:
        ModelFileError: columns are missing or differ in length, an index leads nowhere, or what it
            calls a tree is none.
    """
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if set(attributes) != {*_NODES, *_CHILDREN, *_LEAVES, *_OTHERS, *_SETTINGS}:
        raise ModelFileError("The forest in this file does not have the columns that it should.")
    columns = {
        name: np.array(attributes[name].ints, np.int64) for name in (*_NODES, *_CHILDREN, *_LEAVES)
    }
    modes = list(attributes["nodes_modes"].strings)
    values = attributes["nodes_values"].floats
    lengths = {len(columns[name]) for name in (*_NODES, *_CHILDREN)} | {len(modes), len(values)}
    leaves = {len(columns[name]) for name in _LEAVES} | {len(attributes["target_weights"].floats)}
    if len(lengths) != 1 or len(leaves) != 1 or not modes:
        raise ModelFileError("The columns of the forest in this file differ in length.")
    if any(((column < 0) | (column >= _MOST)).any() for column in columns.values()):
        raise ModelFileError("The forest in this file has numbers that are no places.")
    if set(modes) - _MODES or (columns["target_ids"] >= attributes["n_targets"].i).any():
        raise ModelFileError("The forest in this file names kinds or labels that are not there.")
    _check_trees(columns, np.array([mode == b"LEAF" for mode in modes]))


def largest_feature(node: onnx.NodeProto) -> int:
    """The highest number of a feature that a forest asks for, counted from 0."""
    features = next(a.ints for a in node.attribute if a.name == "nodes_featureids")
    largest: int = max(features)
    return largest


def _check_trees(columns: Columns, is_leaf: NDArray[np.bool_]) -> None:
    trees, numbers = columns["nodes_treeids"], columns["nodes_nodeids"]
    places = _Places(trees, numbers)
    inner = np.flatnonzero(~is_leaf)
    children = np.concatenate([places.of(trees[inner], columns[name][inner]) for name in _CHILDREN])
    leaves = places.of(columns["target_treeids"], columns["target_nodeids"])
    if (children < 0).any() or (leaves < 0).any() or not is_leaf[leaves].all():
        raise ModelFileError("The forest in this file leads to nodes that are not there.")
    # The first node of a tree is where a runtime begins: it has no parent, every other has one.
    first = np.unique(trees, return_index=True)[1]
    others = np.setdiff1d(np.arange(len(trees)), first)
    if not np.array_equal(np.sort(children), others):
        raise ModelFileError("The trees in this file do not branch as trees do.")
    above = np.arange(len(trees))
    above[children] = np.concatenate([inner, inner])
    for _ in range(len(trees).bit_length()):
        above = above[above]  # twice as far up, every time: a loop never arrives at a root
    if not np.isin(above, first).all():
        raise ModelFileError("The trees in this file lead back to themselves.")


class _Places:
    """Where a node stands in the columns, by its tree and its number in it."""

    def __init__(self, trees: NDArray[np.int64], numbers: NDArray[np.int64]) -> None:
        keys = trees * _MOST + numbers
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]
        if (self._keys[1:] == self._keys[:-1]).any():
            raise ModelFileError("The forest in this file has two nodes of one number.")

    def of(self, trees: NDArray[np.int64], numbers: NDArray[np.int64]) -> NDArray[np.intp]:
        """Places (n,) of (n,) nodes; −1 where there is no such node."""
        keys = trees * _MOST + numbers
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[places] == keys, self._order[places], -1)
