"""Kernels of convolutions in bytes: as fine as 16-bit sums allow, and right on average.

Each output channel has a scale, the smallest with which no two of its products of one sign exceed
the 16 bits that x86 without VNNI has for their sum (see `exactness`). All weights within seven bits
would do, too, but most channels have one weight far larger than the others, which may then have
eight: on EfficientNet-Lite0 that more than halves the error.

What rounding adds to the results of a layer on average is taken off its biases. These errors do not
cancel out: activations are never negative after a ReLU, so each output channel is off by much the
same for every image, and the layers after it add to that. The average is known from the
calibration images: the error of each weight times the mean of what it is multiplied with. Nagel et
al., Data-Free Quantization Through Weight Equalization and Bias Correction (2019), section 4.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from foveate.runtime.exactness import LARGEST, PAIR_FITS, largest_pairs

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
    ranks = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    read = {layer.input[0]: ranks.get(layer.input[1], 4) for layer in layers}
    for tensor, rank in read.items():
        mean = f"{tensor}/mean"
        probed.graph.node.append(helper.make_node("GlobalAveragePool", [tensor], [mean]))
        shape = [None] * rank
        probed.graph.output.append(helper.make_tensor_value_info(mean, TensorProto.FLOAT, shape))
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


@dataclass(frozen=True, slots=True)
class Kernel:
    """The weights of a convolution, rounded.

    Attributes:
        values: whole numbers from -127 to 127 in float32, shaped as the weights.
        scale: (n,) float32, one for each output channel; values times scale are the weights.
    """

    values: NDArray[np.float32]
    scale: NDArray[np.float32]

    @property
    def weights(self) -> NDArray[np.float32]:
        """What the rounded kernel stands for."""
        weights: NDArray[np.float32] = self.values * self.scale.reshape(
            -1, *[1] * (self.values.ndim - 1)
        )
        return weights


def round_kernel(weights: NDArray[np.float32]) -> Kernel:
    """Round weights (n, channels of a group, …) so that no sum of two products can saturate."""
    rows = weights.reshape(len(weights), -1)
    finest = np.abs(rows).max(axis=1, initial=0) / LARGEST
    pairs = largest_pairs(rows)
    scale = np.maximum(finest, pairs / PAIR_FITS)
    # Rounding up both may be one too many.
    over = largest_pairs(_rounded(rows, scale)) > PAIR_FITS
    scale[over] = np.maximum(finest, pairs / (PAIR_FITS - 1))[over]
    scale = np.where(scale > 0, scale, 1).astype(np.float32)  # a channel of nothing but zeros
    return Kernel(_rounded(rows, scale).reshape(weights.shape), scale)


def round_kernels(
    model: onnx.ModelProto, means: Means, left_out: Sequence[str]
) -> dict[str, Kernel]:
    """Round the kernels of convolutions and correct their biases, in place.

    At the edge of an image, where the padding is read, the average is a little different; that
    is neglected.

    Args:
        model: as `widen` leaves it.
        means: from `mean_inputs`; biases of layers that are not in it stay as they are.
        left_out: names of the layers that stay as they are.

    Returns:
        By the name of the constant with the weights, which are still in float32.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    kernels = {}
    for node in graph.node:
        if node.op_type != "Conv" or node.name in left_out or node.input[1] not in constants:
            continue
        weights = numpy_helper.to_array(constants[node.input[1]])
        kernel = round_kernel(weights)
        # Constants of its own: another layer may have the same ones.
        name = f"{node.name}/rounded"
        kernels[name] = kernel
        graph.initializer.append(numpy_helper.from_array(kernel.weights, name))
        node.input[1] = name
        given = node.input[2] if len(node.input) > 2 else ""
        if node.name not in means or (given and given not in constants):
            continue
        bias = numpy_helper.to_array(constants[given]) if given else np.zeros(len(weights))
        corrected = bias - _mean_error(kernel.weights - weights, means[node.name])
        name = f"{node.name}/corrected"
        graph.initializer.append(numpy_helper.from_array(corrected.astype(np.float32), name))
        node.input[:] = [*node.input[:2], name]
    return kernels


def _rounded(rows: NDArray[np.float32], scale: NDArray[np.float32]) -> NDArray[np.float32]:
    rounded: NDArray[np.float32] = np.rint(rows / np.where(scale > 0, scale, 1)[:, None])
    return rounded


def _mean_error(errors: NDArray[np.float32], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """What errors (n, channels of a group, …) of weights add to each output channel (n,)."""
    of_channel = errors.reshape(*errors.shape[:2], -1).sum(axis=2, dtype=np.float64)
    groups = mean.reshape(-1, of_channel.shape[1])  # one row a group
    read = groups.repeat(len(errors) // len(groups), axis=0)  # one row an output channel
    error: NDArray[np.float64] = (of_channel * read).sum(axis=1)
    return error
