"""Exported graphs become packs, without PyTorch."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from foveate.backbones.pack import make_pack, nearest_bfloat16, round_keeping_sums
from foveate.runtime.onnxruntime import open_session


def exported(scale: float = 1.0) -> onnx.ModelProto:
    """Depthwise convolution and pooling, with an Identity and an unused weight."""
    rng = np.random.default_rng(0)
    kernel = (scale * rng.normal(0, 1, (3, 1, 3, 3))).astype(np.float32)
    tensors = {"kernel": kernel, "bias": rng.normal(0, 1, 3).astype(np.float32), "spare": kernel}
    nodes = [
        helper.make_node("Cast", ["pixels"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["x"], ["y"], perm=[0, 3, 1, 2]),
        helper.make_node("Identity", ["kernel"], ["same"]),
        helper.make_node("Conv", ["y", "same", "bias"], ["z"], name="head/conv", group=3),
        helper.make_node("ReduceMean", ["z"], ["features"], axes=[2, 3], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def test_a_pack_is_tidy_and_computes_the_same() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 9, 7, 3), dtype=np.uint8)
    wanted = open_session(exported().SerializeToString()).run(None, {"pixels": pixels})[0]
    data = make_pack(exported(), resolution=None)
    np.testing.assert_allclose(
        open_session(data).run(["features"], {"pixels": pixels})[0], wanted, rtol=0.02, atol=0.5
    )
    graph = onnx.load_from_string(data).graph
    assert "Identity" not in [node.op_type for node in graph.node]
    assert not any(node.name.startswith("head/") for node in graph.node)
    assert {tensor.name for tensor in graph.initializer} == {"kernel.float16", "bias"}
    kernel = next(numpy_helper.to_array(t) for t in graph.initializer if "kernel" in t.name)
    assert kernel.dtype == np.float16
    np.testing.assert_array_equal(kernel, nearest_bfloat16(kernel.astype(np.float64)))


def test_what_does_not_fit_stays_as_it_is() -> None:
    graph = onnx.load_from_string(make_pack(exported(scale=1e6), resolution=None)).graph
    assert {tensor.name for tensor in graph.initializer} == {"kernel", "bias"}


@pytest.mark.parametrize(("resolution", "sides"), [(None, ["H", "W"]), (224, [224, 224])])
def test_the_input_says_what_it_takes(resolution: int | None, sides: list[object]) -> None:
    graph = onnx.load_from_string(make_pack(exported(), resolution=resolution)).graph
    dims = graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["N", *sides, 3]


def test_bfloat16_has_eight_bits() -> None:
    values = nearest_bfloat16(np.array([1.0, 1 / 3, -1 / 3, 0.0, 1000.0]))
    np.testing.assert_allclose(values, [1, 0.333984375, -0.333984375, 0, 1000])


def test_sums_survive() -> None:
    rng = np.random.default_rng(0)
    kernel = rng.normal(0, 20, (64, 1, 3, 3))
    kernel -= kernel.mean(axis=(1, 2, 3), keepdims=True) - 0.01  # sees differences, not means
    rounded = round_keeping_sums(kernel)
    assert rounded.shape == kernel.shape
    np.testing.assert_array_equal(rounded, nearest_bfloat16(rounded))
    np.testing.assert_allclose(rounded, kernel, rtol=0.05, atol=0.2)
    lost = np.abs((rounded - kernel).sum(axis=(1, 2, 3)))
    plain = np.abs((nearest_bfloat16(kernel) - kernel).sum(axis=(1, 2, 3)))
    assert lost.mean() < plain.mean() / 10
