"""Heads as ONNX nodes, run."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from foveate.heads import Head, head_nodes


def run(
    head: Head, features: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scores and probabilities of the head's nodes in ONNX Runtime."""
    nodes, initialisers = head_nodes(
        head, features="features", scores="scores", probabilities="probabilities"
    )
    value = helper.make_tensor_value_info
    k = len(head.labels)
    graph = helper.make_graph(
        nodes,
        "head",
        [value("features", TensorProto.FLOAT, ["N", features.shape[1]])],
        [value(name, TensorProto.FLOAT, ["N", k]) for name in ("scores", "probabilities")],
        initialisers,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    scores, probabilities = session.run(["scores", "probabilities"], {"features": features})
    return scores, probabilities
