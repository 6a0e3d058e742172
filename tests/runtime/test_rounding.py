"""Kernels in bytes, and biases that make up for the rounding."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from foveate.runtime.exactness import LARGEST, PAIR_FITS, largest_pairs
from foveate.runtime.onnxruntime import open_session
from foveate.runtime.rounding import mean_inputs, round_kernel, round_kernels

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
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    round_kernels(plain, {}, ["first"])
    off = np.abs(mean_features(plain) - exact).max()
    means = mean_inputs(model, BATCHES)
    assert {name: values.shape for name, values in means.items()} == {"first": (3,), "second": (6,)}
    pixel_mean = np.concatenate(BATCHES).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(means["first"], pixel_mean, rtol=1e-5)
    round_kernels(model, means, ["first"])
    onnx.checker.check_model(model, full_check=True)
    corrected = np.abs(mean_features(model) - exact).max()
    assert corrected < 0.15 * off


def test_layers_that_are_left_out_stay_as_they_are() -> None:
    model = two_layers(1, bias=True)
    before = model.SerializeToString()
    assert round_kernels(model, mean_inputs(model, BATCHES), ["first", "second"]) == {}
    assert model.SerializeToString() == before


def test_kernels_are_as_fine_as_sums_allow() -> None:
    rng = np.random.default_rng(0)
    weights = (rng.standard_t(3, (500, 4, 3, 3)) / 7).astype(np.float32)
    weights[0] = 0
    weights[1] = 0.3
    kernel = round_kernel(weights)
    rows = kernel.values.reshape(500, -1)
    assert np.array_equal(rows, np.rint(rows))
    assert np.abs(rows).max() <= LARGEST
    assert largest_pairs(rows).max() <= PAIR_FITS
    assert largest_pairs(rows)[2:].min() >= min(PAIR_FITS - 3, LARGEST)
    assert np.abs(rows).max(axis=1)[2:].mean() > 70  # seven bits would be 64
    assert not rows[0].any()
    assert np.all(rows[1] == 64)
    error = np.abs(kernel.weights - weights).reshape(500, -1)
    assert np.all(error <= 0.5001 * kernel.scale[:, None])
