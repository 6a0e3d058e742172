"""Make an exported graph a pack: small, tidy, and good in bfloat16.

Only numpy and ONNX are needed here.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 17, 8


def make_pack(model: onnx.ModelProto, *, resolution: int | None) -> bytes:
    """Turn an exported network into a pack.

    Identities go; the kernels of depthwise convolutions are rounded for bfloat16 with care
    (`round_keeping_sums`); matrices and kernels are stored in float16, widened by Cast nodes that
    every runtime folds away, unless a value does not fit.

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


def round_keeping_sums(kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """A depthwise kernel (C, 1, h, w) in bfloat16 values, each channel with the sum it had.

    Batch normalisation folded in, some channels multiply their input by 50 and subtract nearly as
    much: they see differences between neighbouring pixels. Rounding each weight to the nearest
    would add a multiple of the pixels' mean to that small difference; so each weight takes over
    what the larger ones before it lost (error feedback). Measured on satellite images, where it
    matters most: what bfloat16 changes in the features falls from 26 % of the spread between
    images to 9 %; float32 features change by 0.6 %.
    """
    taps = kernel.reshape(len(kernel), -1)
    rounded = np.empty_like(taps)
    rows, carried = np.arange(len(taps)), np.zeros(len(taps))
    for column in np.argsort(-np.abs(taps), axis=1).T:
        wanted = taps[rows, column] + carried
        rounded[rows, column] = nearest_bfloat16(wanted)
        carried = wanted - rounded[rows, column]
    return rounded.reshape(kernel.shape)


def nearest_bfloat16(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The bfloat16 nearest to each value: a float32 whose lower 16 bits are zero."""
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x8000) & 0xFFFF0000).astype(np.uint32).view(np.float32).astype(np.float64)
