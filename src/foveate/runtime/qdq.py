"""The graph of a network in eight-bit integers, as ONNX Runtime's quantiser makes it.

Pairs of QuantizeLinear and DequantizeLinear around the same operators (QDQ).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from foveate.runtime.rounding import Kernel, Means, round_kernels
from foveate.runtime.untrusted import read_graph

OPERATORS = (
    "Add",
    "AveragePool",
    "Clip",
    "Concat",
    "Conv",
    "Gemm",
    "MatMul",
    "MaxPool",
    "Relu",
)
"""What is computed in integers: the layers, and what would force their results back to floats."""

LAYERS = ("Conv", "Gemm", "MatMul")
"""What carries weights, and can be left in floating point alone."""


def widen(onnx_bytes: bytes) -> onnx.ModelProto:
    """The network with its constants in float32, named layers, and the shapes worked out.

    A pack stores kernels in float16 behind Cast nodes, where a quantiser does not look for them.
    """
    model = read_graph(onnx_bytes)
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in tensors:
            to = next(a.i for a in node.attribute if a.name == "to")
            values = numpy_helper.to_array(tensors[node.input[0]])
            wide = values.astype(helper.tensor_dtype_to_np_dtype(to))
            tensors[node.output[0]] = numpy_helper.from_array(wide, node.output[0])
        else:
            kept.append(node)
    for number, node in enumerate(kept):
        node.name = node.name or f"backbone/{number}"
    used = {name for node in kept for name in node.input}
    del graph.node[:]
    graph.node.extend(kept)
    del graph.initializer[:]
    graph.initializer.extend(tensor for name, tensor in tensors.items() if name in used)
    return onnx.shape_inference.infer_shapes(model)


def calibrate(model: onnx.ModelProto, batches: Iterable[NDArray[np.uint8]]) -> Any:
    """The smallest and the largest value of every tensor, as ONNX Runtime keeps them.

    Args:
        model: as `widen` leaves it.
        batches: pixels uint8 (n, H, W, 3); gone through once.

    Raises:
        ValueError: there is no batch.
    """
    from onnxruntime.quantization import CalibrationMethod, create_calibrator

    with tempfile.TemporaryDirectory(prefix="foveate-") as folder:
        path = Path(folder) / "model.onnx"
        onnx.save_model(model, path)
        calibrator = create_calibrator(
            path,
            list(OPERATORS),
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod.MinMax,
        )
        calibrator.collect_data(_Reader(batches))
        return calibrator.compute_data()


def insert_pairs(
    model: onnx.ModelProto, ranges: Any, left_out: Sequence[str], means: Means | None = None
) -> bytes:
    """The ONNX file of a network with its layers in eight-bit integers.

    Args:
        model: as `widen` leaves it.
        ranges: from `calibrate`.
        left_out: names of the layers that stay in floating point.
        means: from `rounding.mean_inputs`; the biases are corrected by them.
    """
    from onnxruntime.quantization import QDQQuantizer, QuantType

    original = onnx.ModelProto()
    original.CopyFrom(model)  # the quantiser changes what it is given
    kernels = round_kernels(original, means or {}, left_out)
    quantiser = QDQQuantizer(
        original,
        per_channel=True,
        # Other weights than kernels from -64 to 64. With more, the sum of two products does not
        # fit the 16 bits that x86 without VNNI has for it; see `exactness`.
        reduce_range=True,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=ranges,
        nodes_to_quantize=[],
        nodes_to_exclude=list(left_out),
        op_types_to_quantize=list(OPERATORS),
        # An activation is left to the saturation of its output, but not where a layer that stays
        # in floating point reads it.
        extra_options={
            "QDQKeepRemovableActivations": bool(left_out),
            "TensorQuantOverrides": {name: _scales(kernel) for name, kernel in kernels.items()},
        },
    )
    quantiser.quantize_model()
    quantiser.model.topological_sort()
    quantised = quantiser.model.model
    del quantised.graph.value_info[:]
    _read_floats(quantised.graph, left_out)
    onnx.checker.check_model(quantised, full_check=True)
    data: bytes = quantised.SerializeToString(deterministic=True)
    return data


def _scales(kernel: Kernel) -> list[dict[str, Any]]:
    """The scale of each output channel, as ONNX Runtime's quantiser takes it."""
    channels: list[dict[str, Any]] = [
        {"scale": scale, "zero_point": np.int8(0)} for scale in kernel.scale
    ]
    channels[0]["axis"] = 0
    return channels


def _read_floats(graph: onnx.GraphProto, layers: Sequence[str]) -> None:
    """Let layers that were left out read what was there before it was quantised.

    A layer between quantised tensors has its weights quantised by ONNX Runtime when it loads the
    file, and worse than here: with one scale for all.
    """
    maker = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.name in layers:
            widened = maker.get(node.input[0])
            rounded = maker.get(widened.input[0]) if widened is not None else None
            if rounded is not None and rounded.op_type == "QuantizeLinear":
                node.input[0] = rounded.input[0]
    read = {name for node in graph.node for name in node.input}
    read |= {output.name for output in graph.output}
    while unread := [node for node in graph.node if not read.intersection(node.output)]:
        for node in unread:
            graph.node.remove(node)
        read = {name for node in graph.node for name in node.input}
        read |= {output.name for output in graph.output}
    tensors = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(tensors)


class _Reader:
    """Batches as ONNX Runtime asks for them."""

    def __init__(self, batches: Iterable[NDArray[np.uint8]]) -> None:
        self._batches: Iterator[NDArray[np.uint8]] = iter(batches)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next one; None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {"pixels": batch}
