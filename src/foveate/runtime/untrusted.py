"""A stranger's network is read: nothing but numbers and known operators, all inside the file.

`read_graph` stands before every runtime. A runtime is a large program in C++ that follows what a
file says: it opens the files that external data names, runs loops without end, and trusts lengths.
So a file is taken apart here first. What is looked for is not what attacks look like, but what a
classifier consists of; anything else is refused, whatever it may be good for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, TensorProto, helper

from foveate.errors import ModelFileError
from foveate.runtime.forests import check_forest
from foveate.runtime.operators import ALLOWED, DOMAINS, FOREST

MOST_BYTES = 2**31 - 1
"""What a protobuf file ends at."""

MOST_PARTS = 100_000
"""Nodes, and tensors beside them. The largest exports of timm have 6,000."""

SMALL = 4096
"""Elements of a tensor that may say how large others are: a shape, some indices."""

_DEFAULT = ("", "ai.onnx")

_KINDS = {
    AttributeProto.FLOAT,
    AttributeProto.INT,
    AttributeProto.STRING,
    AttributeProto.TENSOR,
    AttributeProto.FLOATS,
    AttributeProto.INTS,
    AttributeProto.STRINGS,
}
"""Of attributes: no graphs, no sparse tensors, no types."""

_BYTES: dict[int, int] = {
    TensorProto.FLOAT: 4,
    TensorProto.UINT8: 1,
    TensorProto.INT8: 1,
    TensorProto.UINT16: 2,
    TensorProto.INT16: 2,
    TensorProto.INT32: 4,
    TensorProto.INT64: 8,
    TensorProto.BOOL: 1,
    TensorProto.FLOAT16: 2,
    TensorProto.DOUBLE: 8,
    TensorProto.UINT32: 4,
    TensorProto.UINT64: 8,
    TensorProto.BFLOAT16: 2,
}
"""Of an element of a tensor, by type: plain numbers only."""

_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
"""Where a tensor may keep its numbers instead of in `raw_data`."""


def read_graph(data: bytes) -> onnx.ModelProto:
    """The network that some bytes hold, checked from end to end.

    Raises:
        ModelFileError: it is not ONNX, is not whole, or holds what no classifier needs.
    """
    model = _parse(data)
    graph = model.graph
    if {opset.domain for opset in model.opset_import} - DOMAINS:
        raise ModelFileError("This file needs operators that are not part of ONNX.")
    if model.functions or model.training_info or graph.sparse_initializer:
        raise ModelFileError("This file holds functions, training steps or sparse weights.")
    if max(len(graph.node), len(graph.initializer), len(graph.value_info)) > MOST_PARTS:
        raise ModelFileError(f"This file has more than {MOST_PARTS:,} nodes or tensors.")
    if not all(isinstance(text, str) for text in _texts(model)):
        raise ModelFileError("This is not an ONNX file (a name in it is not UTF-8).")
    _check_tensors(graph.initializer)
    for node in graph.node:
        _check_node(node)
    _check_whole(model)
    return model


def without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network, its large tensors inputs that only say their type and shape.

    ONNX's own checks copy the whole network more than once; this one is small.
    """
    thin = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    thin.graph.name = model.graph.name
    thin.graph.node.extend(model.graph.node)
    thin.graph.input.extend(model.graph.input)
    thin.graph.output.extend(model.graph.output)
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) <= SMALL:
            thin.graph.initializer.append(tensor)
        else:
            thin.graph.input.append(
                helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )
    return thin


def _parse(data: bytes) -> onnx.ModelProto:
    if len(data) > MOST_BYTES:
        raise ModelFileError("This file is larger than 2 GiB, where an ONNX file ends.")
    try:
        model = onnx.load_from_string(data)
    except (DecodeError, ValueError) as error:
        raise ModelFileError(f"This is not an ONNX file ({first_line(error)}).") from None
    size = model.ByteSize()
    model.DiscardUnknownFields()
    if model.ByteSize() != size:
        # A runtime may know what they mean.
        raise ModelFileError("This file holds parts that this version of ONNX does not know.")
    return model


def _check_whole(model: onnx.ModelProto) -> None:
    """What ONNX itself asks of a file: names, order and arity of the nodes, attributes."""
    try:
        onnx.checker.check_model(without_weights(model))
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ModelFileError(f"This is not an ONNX file ({first_line(error)}).") from None


def _texts(model: onnx.ModelProto) -> Iterator[object]:
    """Every name; those that are not UTF-8 are bytes."""
    graph = model.graph
    yield from (opset.domain for opset in model.opset_import)
    for prop in model.metadata_props:
        yield from (prop.key, prop.value)
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield value.name
        yield from (size.dim_param for size in value.type.tensor_type.shape.dim)
    yield from (tensor.name for tensor in graph.initializer)
    for node in graph.node:
        yield from (node.name, node.domain, node.op_type, *node.input, *node.output)
        for attribute in node.attribute:
            yield from (attribute.name, attribute.ref_attr_name)


def _check_node(node: onnx.NodeProto) -> None:
    domain = "" if node.domain in _DEFAULT else node.domain
    if (domain, node.op_type) not in ALLOWED:
        name = f"{domain}.{node.op_type}" if domain else node.op_type
        raise ModelFileError(
            f"This file uses the operator ‘{name[:100]}’, which no classifier needs."
        )
    for attribute in node.attribute:
        # Whatever its type says: a runtime may look at what else is there.
        if attribute.type not in _KINDS or any(
            (
                attribute.ref_attr_name,
                attribute.HasField("g"),
                attribute.graphs,
                attribute.HasField("sparse_tensor"),
                attribute.sparse_tensors,
                attribute.HasField("tp"),
                attribute.type_protos,
            )
        ):
            raise ModelFileError(
                f"The attribute ‘{attribute.name[:100]}’ of an operator ‘{node.op_type}’ in this "
                "file is neither numbers nor text."
            )
        if attribute.HasField("t"):
            _check_tensors([attribute.t])
        _check_tensors(attribute.tensors)
    if (domain, node.op_type) == FOREST:
        check_forest(node)


def _check_tensors(tensors: Iterable[onnx.TensorProto]) -> None:
    """Every tensor has its numbers in itself, as many as its shape says."""
    for tensor in tensors:
        name = tensor.name[:100] or "without a name"
        # External data would let a file name any other file of the machine as its weights.
        if tensor.external_data or tensor.data_location != TensorProto.DEFAULT:
            raise ModelFileError(
                f"This file refers to weights outside of itself (‘{name}’). A classifier has all "
                "of its weights inside."
            )
        if tensor.data_type not in _BYTES or tensor.string_data or tensor.HasField("segment"):
            raise ModelFileError(f"The tensor ‘{name}’ in this file does not hold plain numbers.")
        if any(size < 0 for size in tensor.dims) or not _is_full(tensor):
            raise ModelFileError(f"The tensor ‘{name}’ in this file is not as long as its shape.")


def _is_full(tensor: onnx.TensorProto) -> bool:
    elements: int = math.prod(tensor.dims)
    typed: int = sum(len(getattr(tensor, field)) for field in _FIELDS)
    if not tensor.raw_data:
        return typed == elements
    length: int = elements * _BYTES[tensor.data_type]
    return typed == 0 and length == len(tensor.raw_data)


def first_line(error: Exception) -> str:
    """The first line of what an exception says, for a sentence of ours."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300].rstrip(".")
