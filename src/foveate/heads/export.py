"""A head as ONNX nodes: features in, scores and probabilities out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from .forest import SMALLEST_SHARE
from .head import Head
from .norm import SMALLEST_NORM
from .search import one_column_each
from .trees import Tree, trees_of


def head_nodes(
    head: Head, *, features: str, scores: str, probabilities: str, prefix: str = "head/"
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Nodes that do what `Head.scores` and `Head.probabilities` do.

    They are of opset 13 to 17 and, for a forest, of version 1 to 3 of `ai.onnx.ml`.

    Args:
        head: the head.
        features: name of the (n, d) float32 value to read, not normalised.
        scores: name of the (n, K) float32 value to write.
        probabilities: name of the (n, K) float32 value to write.
        prefix: of the names of all nodes, initialisers and values in between.

    Returns:
        Nodes in topological order, and their initialisers.
    """
    graph = _Graph(prefix)
    unit = features if head.kind == "dnn" else _unit_rows(graph, features)
    if head.kind == "forest":
        shares = _forest(graph, unit, trees_of(head.estimator))
        smallest = graph.constant("smallest_share", np.float32(SMALLEST_SHARE))
        graph.add("Log", [graph.add("Max", [shares, smallest])], scores)
    else:
        coef, intercept = head.estimator.coef_, head.estimator.intercept_[None]
        weights = graph.constant("weights", one_column_each(coef.T))
        graph.add(
            "Gemm", [unit, weights, graph.constant("bias", one_column_each(intercept))], scores
        )
    temperature = graph.constant("temperature", np.float32(head.temperature))
    graph.add("Softmax", [graph.add("Div", [scores, temperature])], probabilities, axis=1)
    return graph.nodes, graph.initialisers


class _Graph:
    """Nodes and initialisers in the making."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[Any] | np.generic) -> str:
        """Add an initialiser; returns its full name."""
        full = self.prefix + name
        self.initialisers.append(numpy_helper.from_array(np.asarray(value), full))
        return full

    def add(self, op: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        """Add a node; returns the name of its output, made up where none is given."""
        name = f"{self.prefix}{len(self.nodes)}_{op.lower()}"
        output = output or name
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        return output


def _unit_rows(graph: _Graph, features: str) -> str:
    """What `norm.unit_rows` does, in float64 at the same place."""
    double = graph.add("Cast", [features], to=TensorProto.DOUBLE)
    squares = graph.add("ReduceSumSquare", [double], axes=[1], keepdims=1)
    smallest = graph.constant("smallest_norm", np.float64(SMALLEST_NORM))
    length = graph.add("Max", [graph.add("Sqrt", [squares]), smallest])
    return graph.add("Div", [features, graph.add("Cast", [length], to=TensorProto.FLOAT)])


def _forest(graph: _Graph, unit: str, trees: Sequence[Tree]) -> str:
    """Mean shares (n, K) of the labels in the leaf that each tree ends in."""
    columns: dict[str, Any] = defaultdict(list)
    for number, tree in enumerate(trees):
        _add_tree(columns, number, tree)
    return graph.add(
        "TreeEnsembleRegressor",
        [unit],
        domain="ai.onnx.ml",
        aggregate_function="AVERAGE",
        n_targets=trees[0].shares.shape[1],
        post_transform="NONE",
        **columns,
    )


def _add_tree(columns: dict[str, Any], number: int, tree: Tree) -> None:
    """Append one tree, its shares of zero left out."""
    leaf = tree.left < 0
    columns["nodes_treeids"] += [number] * len(leaf)
    columns["nodes_nodeids"] += range(len(leaf))
    columns["nodes_featureids"] += np.where(leaf, 0, tree.feature).tolist()
    columns["nodes_values"] += np.where(leaf, 0, _round_down(tree.threshold)).tolist()
    columns["nodes_modes"] += np.where(leaf, "LEAF", "BRANCH_LEQ").tolist()
    columns["nodes_truenodeids"] += np.where(leaf, 0, tree.left).tolist()
    columns["nodes_falsenodeids"] += np.where(leaf, 0, tree.right).tolist()

    node, label = np.nonzero(tree.shares)
    columns["target_treeids"] += [number] * len(node)
    columns["target_nodeids"] += node.tolist()
    columns["target_ids"] += label.tolist()
    columns["target_weights"] += tree.shares[node, label].tolist()


def _round_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 that is not above each threshold.

    A float32 feature is then on the same side of it as of the float64 threshold.
    """
    rounded = thresholds.astype(np.float32)
    below = np.nextafter(rounded, np.float32(-np.inf))
    nearest: NDArray[np.float32] = np.where(rounded > thresholds, below, rounded)
    return nearest
