"""Features from several depths of a network, in the pass that gives the last ones.

What is left after the last layer was trained to tell the classes of ImageNet apart. Earlier layers
know of textures, edges and colours, which another task may need; a network computes them anyway.
Each depth is averaged over the image, its square root taken, and scaled to unit length, so that
none outweighs the others; all of them side by side are folded into `WIDTH` numbers.

Sources: Evci, U. et al. (2022). Head2Toe: utilizing intermediate representations for better
transfer learning. ICML 2022, arXiv 2201.03529. Perronnin, F., Sánchez, J. and Mensink, T. (2010).
Improving the Fisher kernel for large-scale image classification. ECCV 2010 (the square root).
Weinberger, K. et al. (2009). Feature hashing for large scale multitask learning. ICML 2009 (the
sum of several numbers with random signs, which keeps inner products on average).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, shape_inference

from foveate.runtime.untrusted import read_graph, without_weights

WIDTH = 2048
"""Features at most. Measured by cross-validation inside training sets; see docs/design.md."""

MOST_DEPTHS = 24
"""Of a network with more layers, the widest of neighbours is taken."""

_TINY = 1e-12
_IMAGES = (5, 7)
"""Two numbers of images that no network has in its own shapes: by them its first axis is known."""

_PREFIX = "backbone/depths/"


@dataclass(frozen=True, slots=True)
class Depth:
    """A tensor inside a network that says something about each place of the image.

    Attributes:
        name: of the tensor.
        axes: over which it is averaged: those of places or tokens.
        size: numbers along these axes.
        channels: what is left.
        class_token: whether the first token is none of a place.
    """

    name: str
    axes: tuple[int, ...]
    size: tuple[int, ...]
    channels: int
    class_token: bool = False


def with_depths(pack: bytes, resolution: int) -> tuple[bytes, int] | None:
    """The same network, whose `features` come from several depths.

    Args:
        pack: `pixels` → `features` of the last layer.
        resolution: pixels a side that the network works at.

    Returns:
        The pack, and how many features it gives; None where no depths can be told apart.
    """
    model = read_graph(pack)
    graph = model.graph
    dimension = graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    depths = find_depths(model, resolution)
    if not depths:
        return None
    nodes, constants, width = _pooling(depths, "last", dimension)
    for node in graph.node:  # what was the output becomes one depth of several
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == "features":
                    names[index] = "last"
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    del graph.output[:], graph.value_info[:]
    graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", width]))
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data, width


def find_depths(model: onnx.ModelProto, resolution: int) -> list[Depth]:
    """The tensors that layers with weights read, as far as they are wide; from input to output.

    Between two wide ones lie narrow ones, which hold the same in fewer numbers: the bottlenecks
    of a ResNet, the ends of an inverted residual, the stream of tokens beside its MLP.

    Args:
        model: a pack.
        resolution: pixels a side that it works at.
    """
    read = list(_read_by_layers(model, resolution))
    wide = [
        depth
        for before, depth, after in zip([None, *read], read, [*read[1:], None], strict=False)
        if not _wider(before, depth) and not _wider(after, depth)
    ]
    while len(wide) > MOST_DEPTHS:
        pairs = (wide[start : start + 2] for start in range(0, len(wide), 2))
        wide = [max(reversed(pair), key=lambda depth: depth.channels) for pair in pairs]
    return wide


def _wider(other: Depth | None, than: Depth) -> bool:
    return other is not None and other.size == than.size and other.channels > than.channels


def _read_by_layers(model: onnx.ModelProto, resolution: int) -> Iterator[Depth]:
    """What ungrouped convolutions and matrix products read, each once, in their order."""
    shapes = _shapes(model, resolution)
    constant = _constants(model.graph)
    seen = {"pixels"}
    for node in model.graph.node:
        layer = node.op_type in ("MatMul", "Gemm") or (
            node.op_type == "Conv" and all(a.i == 1 for a in node.attribute if a.name == "group")
        )
        if not layer or node.input[1] not in constant or node.input[0] in seen:
            continue
        name = node.input[0]
        seen.add(name)
        if (depth := _depth(name, shapes.get(name), node.op_type)) is not None:
            yield depth


def _depth(name: str, shape: Sequence[int] | None, layer: str) -> Depth | None:
    """The depth that a tensor is; None where it does not tell places of an image apart."""
    if shape is None or 0 in shape:
        return None
    if len(shape) == 3:
        axes, channels = ((2, 3), shape[0]) if layer == "Conv" else ((1, 2), shape[2])
        size = tuple(shape[axis - 1] for axis in axes)
        # An image has three channels: the network itself has not looked at it yet.
        return Depth(name, axes, size, channels) if min(size) > 1 and channels > 3 else None
    if len(shape) == 2 and shape[0] > 1:
        class_token = math.isqrt(shape[0]) ** 2 < shape[0]
        return Depth(name, (1,), (shape[0],), shape[1], class_token)
    return None


def _shapes(model: onnx.ModelProto, resolution: int) -> Mapping[str, Sequence[int]]:
    """Shapes of what tensors hold of one image, for images of one size.

    A tensor has them whose first axis is the images: there are as many as go in.
    """
    few, more = (_inferred(model, (images, resolution, resolution, 3)) for images in _IMAGES)
    return {
        name: shape[1:]
        for name, shape in few.items()
        if shape[:1] == [_IMAGES[0]] and more.get(name) == [_IMAGES[1], *shape[1:]]
    }


def _inferred(model: onnx.ModelProto, size: Sequence[int]) -> Mapping[str, list[int]]:
    """Shapes of all tensors for pixels of a size."""
    sized = without_weights(model)
    pixels = next(value for value in sized.graph.input if value.name == "pixels")
    for dim, value in zip(pixels.type.tensor_type.shape.dim, size, strict=True):
        dim.dim_value = value
    inferred = shape_inference.infer_shapes(sized, data_prop=True)
    return {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in inferred.graph.value_info
    }


def _constants(graph: onnx.GraphProto) -> set[str]:
    """Tensors that follow from weights alone: they and what casts or turns them."""
    constant = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" or (node.input and set(node.input) <= constant):
            constant |= set(node.output)
    return constant


def _pooling(
    depths: Sequence[Depth], last: str, dimension: int
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], int]:
    """Nodes and constants from depths to `features`, and how many features that are."""
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, NDArray[np.generic]] = {
        "tiny": np.array(_TINY, np.float32),
        "axis": np.array([1], np.int64),
    }

    def node(operation: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        name = output if output == "features" else _PREFIX + output
        named = [_PREFIX + one if one in constants else one for one in inputs]
        made = helper.make_node(operation, named, [name], name=f"{_PREFIX}{len(nodes)}")
        made.attribute.extend(helper.make_attribute(*one) for one in attributes.items())
        nodes.append(made)
        return name

    pooled = [(last, dimension)]
    for number, depth in enumerate(depths):
        name = depth.name
        if depth.class_token:
            constants |= {"zero": np.array(0, np.int64), "end": np.array([2**31], np.int64)}
            token = node("Gather", [name, "zero"], f"{number}/token", axis=1)
            pooled.append((token, depth.channels))
            name = node("Slice", [name, "axis", "end", "axis"], f"{number}/places")
        mean = node("ReduceMean", [name], f"{number}/mean", axes=list(depth.axes), keepdims=0)
        pooled.append((mean, depth.channels))
    scaled = []
    for number, (name, _) in enumerate(pooled):
        # The square roots have unit length where their squares sum up to 1.
        # Not ReduceL1: OpenVINO 2026.4 sums over the images, too.
        total = node("ReduceSum", [node("Abs", [name], f"{number}/abs"), "axis"], f"{number}/sum")
        total = node("Add", [total, "tiny"], f"{number}/total")
        scaled.append(node("Div", [name, total], f"{number}/scaled"))
    every = node("Concat", scaled, "every", axis=1)
    sign = node("Sign", [every], "sign")
    root = node("Sqrt", [node("Abs", [every], "size")], "root")
    count = sum(channels for _, channels in pooled)
    if count <= WIDTH:
        node("Mul", [root, sign], "features")
        return nodes, _tensors(constants), count
    layers = -(-count // WIDTH)
    constants["signs"] = _signs(count)
    constants["pads"] = np.array([0, 0, 0, layers * WIDTH - count], np.int64)
    constants["shape"] = np.array([-1, layers, WIDTH], np.int64)
    signed = node("Mul", [node("Mul", [root, sign], "signed"), "signs"], "mixed")
    padded = node("Pad", [signed, "pads"], "padded")
    node(
        "ReduceSum", [node("Reshape", [padded, "shape"], "stacked"), "axis"], "features", keepdims=0
    )
    return nodes, _tensors(constants), WIDTH


def _signs(count: int) -> NDArray[np.float32]:
    """(count,) of -1 and 1, the same for ever: they are part of what a cache is keyed by."""
    bits = np.random.RandomState(0).randint(0, 2, count)
    return (2 * bits - 1).astype(np.float32)


def _tensors(constants: Mapping[str, NDArray[np.generic]]) -> list[onnx.TensorProto]:
    return [
        numpy_helper.from_array(np.asarray(value), _PREFIX + name)
        for name, value in constants.items()
    ]
