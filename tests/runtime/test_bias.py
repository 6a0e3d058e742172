"""Biases that make up for rounded weights."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from foveate.runtime.bias import correct_biases, mean_inputs
from foveate.runtime.onnxruntime import open_session

SIDE = 8


def pixels(seed: int, n: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)


def two_layers(group: int, *, bias: bool) -> onnx.ModelProto:
    """Convolutions of points, 3 → 6 → 12 channels, the second one in groups; no padding."""
    rng = np.random.default_rng(0)
    constants = {
        "first/w": rng.normal(size=(6, 3, 1, 1)),
        "second/w": rng.normal(size=(12, 6 // group, 3, 3)),
    }
    if bias:
        constants["both/b"] = rng.normal(size=6)
        constants["second/b"] = rng.normal(size=12)
    nodes = [
        helper.make_node("Cast", ["pixels"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["wide"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "first/w", *["both/b"] * bias], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node(
            "Conv", ["b", "second/w", *["second/b"] * bias], ["c"], name="second", group=group
        ),
        helper.make_node("GlobalAveragePool", ["c"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
    ]
    graph = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 12])],
        [numpy_helper.from_array(v.astype(np.float32), name) for name, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def rounded(model: onnx.ModelProto, layer: str) -> onnx.ModelProto:
    """The weights of one layer in seven bits, with a scale for each output channel."""
    other = onnx.ModelProto()
    other.CopyFrom(model)
    for tensor in other.graph.initializer:
        if tensor.name == f"{layer}/w":
            values = numpy_helper.to_array(tensor)
            scale = np.abs(values).max(axis=(1, 2, 3), keepdims=True) / 64
            values = np.rint(values / scale) * scale
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    return other


def mean_features(model: onnx.ModelProto) -> NDArray[np.float32]:
    """Over 30 images, in two batches of different size as the calibration has them."""
    session = open_session(model.SerializeToString())
    parts = [session.run(["features"], {"pixels": one})[0] for one in BATCHES]
    found: NDArray[np.float32] = np.concatenate(parts).mean(axis=0)
    return found


BATCHES = [pixels(0, 20), pixels(1, 10)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("group", [1, 2, 6])
def test_the_mean_is_kept(group: int, bias: bool) -> None:
    """The last layer sees the pixels' mean at each of its places nearly alike: they are noise."""
    model = two_layers(group, bias=bias)
    exact = mean_features(model)
    off = np.abs(mean_features(rounded(model, "second")) - exact).max()
    means = mean_inputs(model, BATCHES)
    assert {name: values.shape for name, values in means.items()} == {"first": (3,), "second": (6,)}
    pixel_mean = np.concatenate(BATCHES).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(means["first"], pixel_mean, rtol=1e-5)
    correct_biases(model, means, ["first"])
    onnx.checker.check_model(model, full_check=True)
    corrected = np.abs(mean_features(rounded(model, "second")) - exact).max()
    assert corrected < 0.15 * off


def test_layers_that_are_left_out_stay_as_they_are() -> None:
    model = two_layers(1, bias=True)
    before = model.SerializeToString()
    correct_biases(model, mean_inputs(model, BATCHES), ["first", "second"])
    assert model.SerializeToString() == before
    correct_biases(model, {}, [])
    assert model.SerializeToString() == before
