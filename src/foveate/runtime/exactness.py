"""Whether a runtime adds up products of bytes on this machine without losing any of the sum.

The integer instructions of x86 before VNNI (AVX2, AVX-512) multiply an unsigned byte, an
activation, by a signed one, a weight, and add two such products up in 16 bits: `vpmaddubsw` in the
Intel 64 manual. A sum above 32,767 becomes 32,767, and the features are wrong without any error.
So in foveate's own networks no two weights of an output channel can come to that; see `PAIR_FITS`.
In files made before it knew they can.

What a machine and a runtime do is not guessed from the names of instructions but tried: a small
network with all of its weights at the extreme, whose every layer turns white into white.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from foveate.runtime.interface import Network

PAIR_FITS = 128
"""The largest sum of two weights with which two products fit 16 bits: 128 · 255 = 32,640, at most
32,767."""

LARGEST = 127
"""The largest weight in eight bits."""

SIDE = 16
"""Pixels a side of the image that is tried."""

WHITE = 255


def largest_pairs(rows: NDArray[Any]) -> NDArray[Any]:
    """The largest magnitude (n,) of a sum of two weights of one sign in each row of (n, m)."""
    two = min(2, rows.shape[1])
    positive = -np.partition(-rows.clip(min=0), two - 1)[:, :two].sum(axis=1)
    negative = -np.partition(rows.clip(max=0), two - 1)[:, :two].sum(axis=1)
    largest: NDArray[Any] = np.maximum(positive, negative)
    return largest


def pairs_fit(onnx_bytes: bytes) -> bool:
    """Whether no sum of two products can exceed 16 bits in a network in eight-bit integers.

    Which weights are added up in pairs is each runtime's own choice, so any two of an output
    channel of a convolution count, and elsewhere any two at all. Unsigned weights, which foveate
    does not make, are taken not to fit: a runtime may shift them.
    """
    graph = onnx.load_from_string(onnx_bytes).graph
    widened = {
        node.output[0]: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"
    }
    kernels = {widened.get(node.input[1]) for node in graph.node if node.op_type == "Conv"}
    for tensor in _constants(graph):
        if tensor.data_type == TensorProto.UINT8:
            return False
        if tensor.data_type == TensorProto.INT8:
            values = numpy_helper.to_array(tensor).astype(np.int32)
            rows = values.reshape(len(values) if tensor.name in kernels else 1, -1)
            if largest_pairs(rows).max() > PAIR_FITS:
                return False
    return True


def stays_white(network: Network) -> bool:
    """Whether a network that `white_network` describes gives what it has to on this machine.

    It is tried alone and in a batch: a runtime may choose its instructions by the shape.
    """
    pixels = np.full((network.batch, SIDE, SIDE, 3), WHITE, np.uint8)
    return all(
        bool(np.allclose(network.run(images), WHITE, atol=1)) for images in (pixels[:1], pixels)
    )


def white_network(weight: int) -> bytes:
    """A network in eight-bit integers that sums up the largest products there can be.

    `pixels` uint8 (N, H, W, 3) → `features` float32 (N, 64), all of them 255 for a white image,
    with the layers of a real network: convolutions of three channels, of single points, of one
    channel each and of a window, and a matrix.

    Args:
        weight: the magnitude of all weights; half of the channels have it negative.
    """
    graph = _Graph(weight)
    graph.node("Cast", "pixels", "wide", to=TensorProto.FLOAT)
    graph.node("Transpose", "wide", "nchw", perm=[0, 3, 1, 2])
    graph.pair("nchw")
    graph.layer("Conv", "nchw", "stem", (64, 3, 3, 3), strides=[2, 2])
    graph.layer("Conv", "stem", "point", (64, 64, 1, 1))
    graph.layer("Conv", "point", "depthwise", (64, 1, 3, 3), group=64)
    graph.layer("Conv", "depthwise", "window", (64, 64, 3, 3))
    graph.node("GlobalAveragePool", "window/read", "pooled")
    graph.node("Flatten", "pooled", "flat")
    graph.pair("flat")
    graph.layer("Gemm", "flat", "matrix", (64, 64), transB=1)
    graph.node("Identity", "matrix/read", "features")
    return graph.to_bytes()


class _Graph:
    """Nodes and constants of `white_network`; what a layer reads of `name` is `name/read`."""

    def __init__(self, weight: int) -> None:
        self._weight = weight
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, NDArray[np.generic]] = {
            "one": np.array(1, np.float32),
            "zero": np.array(0, np.uint8),
        }

    def node(self, kind: str, read: str, name: str, **attributes: Any) -> None:
        self._nodes.append(helper.make_node(kind, read.split(), [name], **attributes))

    def pair(self, name: str) -> None:
        """Round to bytes from 0 to 255, and back."""
        self.node("QuantizeLinear", f"{name} one zero", f"{name}/bytes")
        self.node("DequantizeLinear", f"{name}/bytes one zero", f"{name}/read")

    def layer(
        self, kind: str, read: str, name: str, shape: tuple[int, ...], **attributes: Any
    ) -> None:
        """White in, white out: the sum of all products, or twice white less that sum."""
        n, summed = shape[0], int(np.prod(shape[1:]))
        sign = np.where(np.arange(n) % 2, -1, 1)
        weights = (sign.reshape(n, *[1] * (len(shape) - 1)) * self._weight).astype(np.int8)
        scale = np.full(n, 1 / (summed * self._weight), np.float32)
        biases = np.where(sign < 0, 2 * WHITE, 0) / scale
        self._constants |= {
            f"{name}/w": np.broadcast_to(weights, shape),
            f"{name}/w/scale": scale,
            f"{name}/w/zero": np.zeros(n, np.int8),
            f"{name}/b": np.rint(biases).astype(np.int32),
            f"{name}/b/zero": np.zeros(n, np.int32),
        }
        for part in "wb":
            self._nodes.append(
                helper.make_node(
                    "DequantizeLinear",
                    [f"{name}/{part}", f"{name}/w/scale", f"{name}/{part}/zero"],
                    [f"{name}/{part}/read"],
                    axis=0,
                )
            )
        self.node(kind, f"{read}/read {name}/w/read {name}/b/read", name, **attributes)
        self.pair(name)

    def to_bytes(self) -> bytes:
        graph = helper.make_graph(
            self._nodes,
            "white",
            [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", "H", "W", 3])],
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 64])],
            [
                numpy_helper.from_array(np.ascontiguousarray(values), name)
                for name, values in self._constants.items()
            ],
        )
        opsets = [helper.make_opsetid("", 17)]
        data: bytes = helper.make_model(
            graph, opset_imports=opsets, ir_version=8
        ).SerializeToString()
        return data


def _constants(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """All constants of more than one number, those of nodes, too; one number is a zero point."""
    tensors = [*graph.initializer]
    tensors += [attribute.t for node in graph.node for attribute in node.attribute]
    return (tensor for tensor in tensors if int(np.prod(tensor.dims)) > 1)


def is_quantised(onnx_bytes: bytes) -> bool:
    """Whether a network was quantised."""
    nodes = onnx.load_from_string(onnx_bytes).graph.node
    return any(node.op_type == "QuantizeLinear" for node in nodes)
