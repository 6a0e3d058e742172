"""A classifier's graph, cut in two at `features`."""

from __future__ import annotations

import onnx
from onnx import helper

from foveate.errors import ModelFileError

HEAD_PREFIX = "head/"
"""By which the names of the head's nodes begin; the others are the backbone's."""


def cut(model: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Backbone (`pixels` → `features`) and head (`features` → `scores`, `probabilities`).

    Raises:
        ModelFileError: these are not what goes in and comes out.
    """
    outputs = {value.name: value for value in model.graph.output}
    inputs = {value.name: value for value in model.graph.input}
    if set(inputs) != {"pixels"} or not {"features", "scores", "probabilities"} <= set(outputs):
        raise ModelFileError("This classifier's inputs and outputs are not as they should be.")
    nodes: dict[bool, list[onnx.NodeProto]] = {True: [], False: []}
    for node in model.graph.node:
        nodes[node.name.startswith(HEAD_PREFIX)].append(node)
    head_outputs = [outputs["scores"], outputs["probabilities"]]
    return (
        _part(model, nodes[False], [inputs["pixels"]], [outputs["features"]]),
        _part(model, nodes[True], [outputs["features"]], head_outputs),
    )


def _part(
    model: onnx.ModelProto,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    used = {name for node in nodes for name in node.input}
    initializers = [tensor for tensor in model.graph.initializer if tensor.name in used]
    graph = helper.make_graph(nodes, "part", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
