"""What rounding the weights adds to the results of a layer on average, taken off its biases.

Rounding errors of weights do not cancel out: activations are never negative after a ReLU, so each
output channel is off by much the same for every image, and the layers after it add to that. The
average is known from the calibration images: the error of each weight times the mean of what it is
multiplied with. Nagel et al., Data-Free Quantization Through Weight Equalization and Bias
Correction (2019), section 4.2, from data as in their appendix.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from foveate.runtime.exactness import PAIRS_FIT

Means = Mapping[str, NDArray[np.float64]]
"""By a convolution's name: the mean (channels,) of what it reads, over images and pixels."""


def mean_inputs(model: onnx.ModelProto, batches: Iterable[NDArray[np.uint8]]) -> Means:
    """What each convolution reads on average.

    Args:
        model: as `widen` leaves it.
        batches: pixels uint8 (n, H, W, 3); gone through once.
    """
    from foveate.runtime.onnxruntime import open_session

    layers = [node for node in model.graph.node if node.op_type == "Conv"]
    probed = onnx.ModelProto()
    probed.CopyFrom(model)
    del probed.graph.output[:]
    for tensor in dict.fromkeys(layer.input[0] for layer in layers):
        mean = f"{tensor}/mean"
        probed.graph.node.append(helper.make_node("GlobalAveragePool", [tensor], [mean]))
        probed.graph.output.append(helper.make_tensor_value_info(mean, TensorProto.FLOAT, None))
    names = [output.name for output in probed.graph.output]
    if not names:
        return {}
    session = open_session(probed.SerializeToString(), threads=0)
    sums: dict[str, NDArray[np.float64]] = {}
    images = 0
    for pixels in batches:
        images += len(pixels)
        for name, values in zip(names, session.run(names, {"pixels": pixels}), strict=True):
            total = values.reshape(*values.shape[:2]).sum(axis=0, dtype=np.float64)
            sums[name] = sums.get(name, 0) + total
    return {layer.name: sums[f"{layer.input[0]}/mean"] / images for layer in layers}


def correct_biases(model: onnx.ModelProto, means: Means, left_out: Sequence[str]) -> None:
    """Take what rounding adds on average off the biases of the convolutions, in place.

    At the edge of an image, where the padding is read, the average is a little different; that
    is neglected.

    Args:
        model: as `widen` leaves it.
        means: from `mean_inputs`.
        left_out: names of the layers whose weights are not rounded.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.name not in means or node.name in left_out or node.input[1] not in constants:
            continue
        given = node.input[2] if len(node.input) > 2 else ""
        if given and given not in constants:
            continue
        weights = numpy_helper.to_array(constants[node.input[1]])
        bias = numpy_helper.to_array(constants[given]) if given else np.zeros(len(weights))
        corrected = bias - _mean_error(weights, means[node.name])
        # A constant of its own: another layer may have the same one.
        name = f"{node.name}/corrected"
        graph.initializer.append(numpy_helper.from_array(corrected.astype(np.float32), name))
        node.input[:] = [*node.input[:2], name]


def _mean_error(weights: NDArray[np.float32], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much (n,) rounding weights (n, channels of a group, …) adds to each output channel."""
    rows = weights.reshape(len(weights), -1).astype(np.float64)
    scale = np.abs(rows).max(axis=1, keepdims=True) / PAIRS_FIT  # as the quantiser has it
    scale[scale == 0] = 1
    error = (np.rint(rows / scale) * scale - rows).reshape(*weights.shape[:2], -1).sum(axis=2)
    groups = mean.reshape(-1, error.shape[1])  # one row a group
    read = groups.repeat(len(weights) // len(groups), axis=0)  # one row an output channel
    found: NDArray[np.float64] = (error * read).sum(axis=1)
    return found
