"""A network in eight-bit integers: static quantisation after training, by ONNX Runtime.

The weights become int8, with one scale for each output channel; what flows between the layers
becomes uint8, with one scale for each tensor, from the smallest to the largest value that the
calibration images bring about. The file says so by pairs of QuantizeLinear and DequantizeLinear
around the same operators (QDQ), which every ONNX runtime computes: OpenVINO and ONNX Runtime by
the CPU's integer instructions, others in float32 with the same rounding.

On EfficientNet-Lite0 other calibrations (a moving average, percentiles) and symmetric activations
leave the same error of the features, 13 to 14 %; one scale for a whole kernel leaves 50 %, and
to leave the ReLUs and additions out 44 %.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

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

MOST_LEFT_OUT = 0.25
"""Share of the layers that may be left in floating point: with more, little is gained."""

ENOUGH = 0.995
"""Share of the training images that must keep their label."""

Judge = Callable[[bytes], float]
"""Share of training images that a network gives the same label as the original."""


@dataclass(frozen=True, slots=True)
class Quantised:
    """A network in eight-bit integers.

    Attributes:
        onnx_bytes: `pixels` → `features`, as the original.
        layers: how many layers with weights there are.
        left_out: names of those that stay in floating point, the most sensitive first.
        agreement: share of the training images that keep the label they had.
    """

    onnx_bytes: bytes
    layers: int
    left_out: tuple[str, ...]
    agreement: float


def is_quantised(onnx_bytes: bytes) -> bool:
    """Whether a network was quantised."""
    nodes = onnx.load_from_string(onnx_bytes).graph.node
    return any(node.op_type == "QuantizeLinear" for node in nodes)


def quantise(
    onnx_bytes: bytes, batches: Iterable[NDArray[np.uint8]], judge: Judge, *, enough: float = ENOUGH
) -> Quantised:
    """Quantise a network; layers that cost too many labels stay in floating point.

    Only training images decide: where too few keep their label, the layers are ranked by how much
    the features gain if one of them alone is left out, and 1, 2, 4, … are left out, up to a
    quarter of all.

    Args:
        onnx_bytes: `pixels` uint8 (N, H, W, 3) → `features` float32 (N, d).
        batches: pixels of training images; gone through once, or twice.
        judge: see `Judge`.
        enough: the share that `judge` has to find.

    Raises:
        ValueError: there is no layer to quantise, or no image.
    """
    model = widen(onnx_bytes)
    layers = [node.name for node in model.graph.node if node.op_type in LAYERS]
    if not layers:
        raise ValueError("this network has no layer that could be quantised")
    ranges = _calibrate(model, batches)
    tried = _quantise(model, ranges, ())
    best = Quantised(tried, len(layers), (), judge(tried))
    if best.agreement >= enough:
        return best
    ranking = _most_sensitive_first(onnx_bytes, model, ranges, layers, next(iter(batches)))
    number = 1
    while best.agreement < enough and number <= MOST_LEFT_OUT * len(layers):
        left_out = tuple(ranking[:number])
        tried = _quantise(model, ranges, left_out)
        best = max(
            best,
            Quantised(tried, len(layers), left_out, judge(tried)),
            key=lambda one: one.agreement,
        )
        number *= 2
    return best


def widen(onnx_bytes: bytes) -> onnx.ModelProto:
    """The network with its constants in float32, named layers, and the shapes worked out.

    A pack stores kernels in float16 behind Cast nodes, where a quantiser does not look for them.
    """
    model = onnx.load_from_string(onnx_bytes)
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


class _Reader:
    """Batches as ONNX Runtime asks for them."""

    def __init__(self, batches: Iterable[NDArray[np.uint8]]) -> None:
        self._batches: Iterator[NDArray[np.uint8]] = iter(batches)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next one; None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {"pixels": batch}


def _calibrate(model: onnx.ModelProto, batches: Iterable[NDArray[np.uint8]]) -> Any:
    """The smallest and the largest value of every tensor."""
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


def _quantise(model: onnx.ModelProto, ranges: Any, left_out: Sequence[str]) -> bytes:
    from onnxruntime.quantization import QDQQuantizer, QuantType

    original = onnx.ModelProto()
    original.CopyFrom(model)  # the quantiser changes what it is given
    quantiser = QDQQuantizer(
        original,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=ranges,
        nodes_to_quantize=[],
        nodes_to_exclude=list(left_out),
        op_types_to_quantize=list(OPERATORS),
        # An activation is left to the saturation of its output, but not where a layer that stays
        # in floating point reads it.
        extra_options={"QDQKeepRemovableActivations": bool(left_out)},
    )
    quantiser.quantize_model()
    quantiser.model.topological_sort()
    quantised = quantiser.model.model
    del quantised.graph.value_info[:]
    _read_floats(quantised.graph, left_out)
    onnx.checker.check_model(quantised, full_check=True)
    data: bytes = quantised.SerializeToString(deterministic=True)
    return data


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


def _most_sensitive_first(
    onnx_bytes: bytes,
    model: onnx.ModelProto,
    ranges: Any,
    layers: Sequence[str],
    pixels: NDArray[np.uint8],
) -> list[str]:
    """The layers, that one first without whose quantisation the features are the best."""
    exact = _features(onnx_bytes, pixels)
    error = {
        layer: float(np.linalg.norm(_features(_quantise(model, ranges, [layer]), pixels) - exact))
        for layer in layers
    }
    return sorted(layers, key=error.__getitem__)


def _features(onnx_bytes: bytes, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    from foveate.runtime.onnxruntime import open_session

    session = open_session(onnx_bytes, threads=0)
    features: NDArray[np.float32] = session.run(["features"], {"pixels": pixels})[0]
    return features
