"""How large everything in a network becomes, worked out before it runs.

A file of 200 bytes can ask for a terabyte: `ConstantOfShape` of a large shape, `Pad`, `Resize`, an
outer product. So the size of every value is followed from the input to the outputs, for one image
of the resolution that will come, and a file is refused where they need more than any sensible
classifier. A network whose sizes depend on what is in the picture is refused, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import shape_inference

from foveate.errors import ModelFileError
from foveate.runtime.forests import largest_feature
from foveate.runtime.operators import FOREST
from foveate.runtime.propagation import follow, shape_of
from foveate.runtime.untrusted import first_line, without_weights

MOST_ELEMENTS = 2**28
"""Of all values that an image has at one time: 1 GiB in float32. At 1024 pixels a side, VGG needs
half of that; the largest network that can be added (500 million parameters) less at its own."""

MOST_WORK = 2**42
"""Multiplications for one image: 4.4 trillion, half a minute or so on a core. EVA-giant at 560
pixels, larger than what can be added, needs 1.9 trillion."""

_POOLS = frozenset({"AveragePool", "LpPool", "MaxPool"})
_CONVOLUTIONS = frozenset({"Conv", "ConvInteger", "ConvTranspose", "QLinearConv"})
_PRODUCTS = frozenset({"Gemm", "MatMul", "MatMulInteger", "QLinearMatMul"})

_ERRORS = (
    shape_inference.InferenceError,
    onnx.checker.ValidationError,
    onnx.defs.SchemaError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
)
"""What ONNX's shape inference raises about networks that are not consistent."""

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """What comes out of a network for one image.

    Attributes:
        shape: the first number is the one image.
        is_float: whether it is float32.
    """

    shape: Shape
    is_float: bool


def check_sizes(model: onnx.ModelProto, inputs: Mapping[str, Shape]) -> dict[str, Output]:
    """Refuse a network that needs too much memory or time.

    Args:
        model: as `untrusted.read_graph` gives it.
        inputs: shapes of all inputs, as they will come.

    Returns:
        What comes out, by name.

    Raises:
        ModelFileError: something is too large, does not fit together, or cannot be told.
    """
    thin = without_weights(model)
    try:
        _set_inputs(thin, inputs)
        types = follow(thin)
    except _ERRORS as error:
        raise ModelFileError(
            f"The parts of this file's network do not fit together ({first_line(error)})."
        ) from None
    shapes = {name: shape for name, kind in types.items() if (shape := shape_of(kind)) is not None}
    _check_memory(model.graph, shapes)
    _check_work(model.graph, shapes)
    return {
        value.name: Output(
            shapes[value.name], types[value.name].tensor_type.elem_type == onnx.TensorProto.FLOAT
        )
        for value in model.graph.output
        if value.name in shapes
    }


def _set_inputs(thin: onnx.ModelProto, inputs: Mapping[str, Shape]) -> None:
    for value in thin.graph.input:
        wanted = inputs.get(value.name)
        if wanted is None:  # a weight
            continue
        sizes = value.type.tensor_type.shape.dim
        declared = [size.dim_value if size.HasField("dim_value") else None for size in sizes]
        if len(declared) != len(wanted) or any(
            size not in (None, want) for size, want in zip(declared, wanted, strict=True)
        ):
            raise ValueError(f"‘{value.name}’ does not take the shape {wanted}")
        for size, want in zip(sizes, wanted, strict=True):
            size.dim_value = want


def _check_memory(graph: onnx.GraphProto, shapes: Mapping[str, Shape]) -> None:
    """What is computed and still needed, after every node."""
    last = {name: place for place, node in enumerate(graph.node) for name in node.input}
    leaving: dict[int, list[str]] = {}
    alive = 0
    for place, node in enumerate(graph.node):
        for name in filter(None, node.output):
            alive += math.prod(shapes[name])
            leaving.setdefault(last.get(name, place), []).append(name)
        if alive > MOST_ELEMENTS:
            raise ModelFileError(
                f"This file's network needs more than {MOST_ELEMENTS * 4 // 2**20:,} MiB for one "
                f"image, at an operator ‘{node.op_type}’. No sensible classifier does."
            )
        alive -= sum(math.prod(shapes[name]) for name in leaving.pop(place, ()))


def _check_work(graph: onnx.GraphProto, shapes: Mapping[str, Shape]) -> None:
    work = 0
    for node in graph.node:
        inputs = [shapes[name] for name in node.input if name]
        outputs = [shapes[name] for name in node.output if name]
        work += sum(map(math.prod, inputs)) + sum(map(math.prod, outputs))
        if outputs:
            work += math.prod(outputs[0]) * _work_of_one(node, inputs)
        if work > MOST_WORK:
            raise ModelFileError(
                f"This file's network needs more than {MOST_WORK / 1e12:.1f} trillion "
                f"multiplications for one image, at an operator ‘{node.op_type}’. No sensible "
                "classifier does."
            )
        if (node.domain, node.op_type) == FOREST and largest_feature(node) >= inputs[0][-1]:
            raise ModelFileError("The forest in this file asks for features that are not there.")


def _work_of_one(node: onnx.NodeProto, inputs: Sequence[Shape]) -> int:
    """Multiplications, or the like, for each number that an operator gives; never too few."""
    if node.op_type in _PRODUCTS:
        return max(inputs[0][-2:], default=1)
    if node.op_type in _CONVOLUTIONS:
        kernel = max(inputs[1:], key=len)  # behind scales, where it is quantised
        return math.prod(kernel[1:])
    if node.op_type in _POOLS:
        return math.prod(next((a.ints for a in node.attribute if a.name == "kernel_shape"), ()))
    if node.op_type == "Einsum":
        return _work_of_einsum(node, inputs)
    if node.op_type == "LRN":
        return max(1, next((a.i for a in node.attribute if a.name == "size"), 1))
    return 1


def _work_of_einsum(node: onnx.NodeProto, inputs: Sequence[Shape]) -> int:
    """The sizes that are summed over; an equation such as `bhnd,bhmd->bhnm`."""
    equation = next(a.s for a in node.attribute if a.name == "equation").decode("ascii", "replace")
    terms, arrow, result = equation.replace(" ", "").partition("->")
    names = terms.split(",")
    if not arrow or len(names) > 2 or [*map(len, names)] != [*map(len, inputs)]:
        raise ModelFileError(
            f"This file uses an Einsum of a kind that no classifier needs: ‘{equation[:100]}’."
        )
    sizes = {
        name: size
        for term, shape in zip(names, inputs, strict=True)
        for name, size in zip(term, shape, strict=True)
    }
    return math.prod(size for name, size in sizes.items() if name not in result)
