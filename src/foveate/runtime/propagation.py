"""Types and shapes of all values in a network, node by node.

A transformer asks how large its input is, divides, puts shapes together and cuts by them. So ONNX
says of each node what comes out of it, and where what goes in is small and known, the node is
computed. ONNX's own pass over a whole network does not serve: it follows few operators, doubles
what a chain of Concat doubles until the memory ends, and aborts the process where an empty value is
cut backwards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import defs, helper, numpy_helper, shape_inference

from foveate.errors import ModelFileError
from foveate.runtime.untrusted import SMALL

_OPERATORS = """
    Abs Add And Cast Ceil Clip Concat ConstantOfShape CumSum Div Equal Expand Flatten Floor Gather
    Greater GreaterOrEqual Identity Less LessOrEqual Max Min Mod Mul Neg Not OneHot Or Pad Pow Range
    ReduceMax ReduceMin ReduceProd ReduceSum Reshape Round ScatterND Sign Slice Split Sqrt Squeeze
    Sub Tile Transpose Unsqueeze Where
"""
_COMPUTED = frozenset(_OPERATORS.split())
"""What shapes are computed with."""

_FEW = 64
"""Numbers with a fraction that are computed with: factors of a scale, not weights."""


def shape_of(kind: onnx.TypeProto | None) -> tuple[int, ...] | None:
    """The shape of a tensor type; None where it is not known in full."""
    if kind is None or not kind.tensor_type.HasField("shape"):
        return None
    sizes = kind.tensor_type.shape.dim
    if any(not size.HasField("dim_value") or size.dim_value < 0 for size in sizes):
        return None
    return tuple(size.dim_value for size in sizes)


def follow(model: onnx.ModelProto) -> dict[str, onnx.TypeProto]:
    """The type of every value, with its shape.

    Args:
        model: its inputs have shapes of numbers alone.

    Raises:
        ModelFileError: a shape cannot be told, or is none.
        onnx.shape_inference.InferenceError: the parts do not fit together.
    """
    return _Walk(model).types


class _Walk:
    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._versions = {opset.domain: opset.version for opset in model.opset_import}
        self.types = {value.name: value.type for value in model.graph.input}
        self._known: dict[str, onnx.TensorProto] = {}
        for tensor in model.graph.initializer:
            self._learn(tensor.name, tensor)
        for node in model.graph.node:
            self._visit(node)

    def _visit(self, node: onnx.NodeProto) -> None:
        inputs = [name for name in node.input if name]
        if node.op_type == "Slice" and 0 in (shape_of(self.types.get(inputs[0])) or ()):
            raise ValueError("an operator ‘Slice’ cuts what is empty")
        domain = "" if node.domain == "ai.onnx" else node.domain
        schema = defs.get_schema(node.op_type, self._version(domain), domain)
        types: Mapping[str, onnx.TypeProto] = shape_inference.infer_node_outputs(
            schema,
            node,
            {name: self.types[name] for name in inputs},
            {name: self._known[name] for name in inputs if name in self._known},
            opset_imports=list(self._model.opset_import),
            ir_version=self._model.ir_version,
        )
        for name in filter(None, node.output):
            self.types[name] = types.get(name, onnx.TypeProto())
            if shape_of(self.types[name]) is None:  # ONNX itself aborts on sizes below zero
                raise ModelFileError(
                    f"How large the results of this file's network become (‘{node.op_type}’) "
                    "cannot be told before it runs."
                )
        if node.op_type == "Shape":
            self._ask_shape(node)
        elif node.op_type == "Constant":
            self._compute(node, {})
        elif node.op_type in _COMPUTED and all(name in self._known for name in inputs):
            self._compute(node, {name: numpy_helper.to_array(self._known[name]) for name in inputs})

    def _version(self, domain: str) -> int:
        version: int = self._versions[domain or ("" if "" in self._versions else "ai.onnx")]
        return version

    def _ask_shape(self, node: onnx.NodeProto) -> None:
        shape = shape_of(self.types[node.input[0]])
        if shape is not None:
            limits = {attribute.name: attribute.i for attribute in node.attribute}
            part = shape[limits.get("start", 0) : limits.get("end", len(shape))]
            self._learn(node.output[0], numpy_helper.from_array(np.array(part, np.int64)))

    def _compute(self, node: onnx.NodeProto, inputs: Mapping[str, NDArray[np.generic]]) -> None:
        shapes = [shape_of(self.types[name]) for name in node.output if name]
        if any(shape is None or math.prod(shape) > SMALL for shape in shapes):
            return
        try:
            with np.errstate(all="ignore"):
                outputs = _outputs(node, inputs)
        except Exception:  # of any kind; what comes out stays unknown
            return
        for name, value in zip(node.output, outputs, strict=True):
            self._learn(name, numpy_helper.from_array(np.asarray(value)))

    def _learn(self, name: str, tensor: onnx.TensorProto) -> None:
        self.types[name] = helper.make_tensor_type_proto(tensor.data_type, list(tensor.dims))
        whole = tensor.data_type in (
            onnx.TensorProto.INT64,
            onnx.TensorProto.INT32,
            onnx.TensorProto.BOOL,
        )
        if math.prod(tensor.dims) <= (SMALL if whole else _FEW):
            self._known[name] = tensor


def _outputs(
    node: onnx.NodeProto, inputs: Mapping[str, NDArray[np.generic]]
) -> Sequence[NDArray[np.generic]]:
    if node.op_type == "Cast":  # all that most networks have, and a quarter of a second to import
        to = next(attribute.i for attribute in node.attribute if attribute.name == "to")
        return [inputs[node.input[0]].astype(helper.tensor_dtype_to_np_dtype(to))]
    from onnx.reference import ReferenceEvaluator

    return list(ReferenceEvaluator(node).run(None, dict(inputs)))
