"""Make an exported graph a pack: small, tidy, and good in bfloat16.

Only numpy and ONNX are needed here.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from foveate.backbones.rounding import round_keeping_sums

OPSET, IR_VERSION = 17, 8
HEAD_PREFIX = "head/"
"""Kept free for the nodes of the head, by which a model file is cut in two."""


def make_pack(model: onnx.ModelProto, *, resolution: int | None) -> bytes:
    """Turn an exported network into a pack.

    Identities go; the kernels of depthwise convolutions are rounded for bfloat16 with care
    (`rounding`); matrices and kernels are stored in float16, widened by Cast nodes that every
    runtime folds away, unless a value does not fit.

    Args:
        model: one input, uint8 (N, H, W, 3), and one output, float32 (N, d); changed in place.
        resolution: pixels a side, for a network that takes no other; None for any.

    Returns:
        The bytes of an ONNX file: `pixels` → `features`.

    Raises:
        onnx.checker.ValidationError: the model is not valid ONNX.
    """
    graph = model.graph
    _drop_identities(graph)
    _round_depthwise(graph)
    widened = _store_in_half(graph)
    nodes = [*widened, *graph.node]
    for number, node in enumerate(nodes):
        node.name = f"backbone/{number}"
        node.ClearField("doc_string")
    dimension = graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    sides: list[int | str] = ["H", "W"] if resolution is None else [resolution, resolution]
    pack = helper.make_model(
        helper.make_graph(
            nodes,
            "backbone",
            [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", *sides, 3])],
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", dimension])],
            graph.initializer,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="foveate",
    )
    onnx.checker.check_model(pack, full_check=True)
    data: bytes = pack.SerializeToString(deterministic=True)
    return data


def _drop_identities(graph: onnx.GraphProto) -> None:
    """Every Identity goes, except where it gives an output its name."""
    outputs = {output.name for output in graph.output}
    source: dict[str, str] = {}
    kept = []
    for node in graph.node:
        inputs = [source.get(name, name) for name in node.input]
        node.input[:] = inputs
        if node.op_type == "Identity" and node.output[0] not in outputs:
            source[node.output[0]] = inputs[0]
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    used = {name for node in kept for name in node.input}
    tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(tensors)


def _round_depthwise(graph: onnx.GraphProto) -> None:
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        if node.op_type != "Conv" or groups == 1 or node.input[1] not in tensors:
            continue
        kernel = tensors[node.input[1]]
        if tuple(kernel.dims[:2]) == (groups, 1):
            rounded = round_keeping_sums(numpy_helper.to_array(kernel).astype(np.float64))
            kernel.CopyFrom(numpy_helper.from_array(rounded.astype(np.float32), kernel.name))


def _store_in_half(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Store matrices and kernels in float16; the nodes that widen them again."""
    stored, nodes = [], []
    for tensor in graph.initializer:
        # What has one axis is small, and biases are worth their precision.
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            half = _half(numpy_helper.to_array(tensor))
            if half is not None:
                name = tensor.name
                tensor = numpy_helper.from_array(half, f"{name}.float16")
                nodes.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
        stored.append(tensor)
    del graph.initializer[:]
    graph.initializer.extend(stored)
    return nodes


def _half(values: NDArray[np.float32]) -> NDArray[np.float16] | None:
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.isfinite(half).all() else None
