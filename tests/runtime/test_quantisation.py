"""Networks in eight-bit integers, in both runtimes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from foveate.backbones import find_backbone
from foveate.runtime import open_network
from foveate.runtime.exactness import is_quantised, pairs_fit
from foveate.runtime.quantisation import quantise, widen
from foveate.runtime.rate import measure_rates

RESOLUTION = 64


def draw(n: int, seed: int) -> NDArray[np.uint8]:
    """Patches of colour, each twice as fine as the one before."""
    rng = np.random.default_rng(seed)
    images = []
    for number in range(n):
        cells = 4 << (number % 4)
        patches = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        images.append(patches.repeat(RESOLUTION // cells, 0).repeat(RESOLUTION // cells, 1))
    return np.stack(images)


@pytest.fixture(scope="module")
def pack() -> bytes:
    return find_backbone("efficientnet-lite0").onnx_bytes()


@pytest.fixture(scope="module")
def int8(pack: bytes) -> bytes:
    return quantise(pack, [draw(8, seed) for seed in range(3)], lambda _: 1.0).onnx_bytes


def error(features: NDArray[np.float32], exact: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(features - exact) / np.linalg.norm(exact))


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_features_stay_close(pack: bytes, int8: bytes, runtime: str) -> None:
    pixels = draw(16, seed=100)
    exact = open_network(pack, resolution=RESOLUTION, precision="float32").run(pixels)
    network = open_network(int8, resolution=RESOLUTION, runtime=runtime)
    found = network.run(pixels)
    assert (network.runtime, network.precision) == (runtime, "int8")
    assert error(found, exact) < 0.15
    assert error(found[::-1], exact) > 0.6


def test_is_smaller_and_known(pack: bytes, int8: bytes) -> None:
    assert len(int8) < 0.65 * len(pack)
    assert is_quantised(int8)
    assert not is_quantised(pack)


def test_no_sum_of_two_products_can_saturate(int8: bytes) -> None:
    """Whatever processor the tests run on, and whatever the file will run on."""
    assert pairs_fit(int8)


def test_needs_only_standard_operators(int8: bytes) -> None:
    model = onnx.load_from_string(int8)
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    kinds = {
        tensor.name: tensor.data_type
        for tensor in model.graph.initializer
        if tensor.name.endswith("_quantized")
    }
    assert TensorProto.INT8 in kinds.values()
    assert not any(tensor.data_type == TensorProto.FLOAT16 for tensor in model.graph.initializer)


def test_the_same_images_give_the_same_bytes(pack: bytes, int8: bytes) -> None:
    again = quantise(pack, [draw(8, seed) for seed in range(3)], lambda _: 1.0)
    assert again.onnx_bytes == int8
    assert (again.left_out, again.agreement) == ((), 1.0)


def test_widening_changes_no_feature(pack: bytes) -> None:
    wide = widen(pack)
    assert not any(node.op_type == "Cast" and node.input[0] != "pixels" for node in wide.graph.node)
    pixels = draw(8, seed=1)
    both = [
        open_network(one, resolution=RESOLUTION, runtime="onnxruntime").run(pixels)
        for one in (pack, wide.SerializeToString())
    ]
    np.testing.assert_array_equal(*both)


def network_with_a_hard_layer() -> bytes:
    """Eight layers; the weights of one are small but for those that see nothing but zeros."""
    hard = np.random.default_rng(0).normal(size=(8, 3, 1, 1)).astype(np.float32)
    hard[:, 2] = 1000
    names = ["easy0", "easy1", "hard", *(f"easy{number}" for number in range(2, 7))]
    weights = {name: np.eye(8, dtype=np.float32)[..., None, None] for name in names}
    weights |= {name: weights[name][:3, :3] for name in ("easy0", "easy1")} | {"hard": hard}
    nodes = [
        helper.make_node("Cast", ["pixels"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["wide"], ["nchw"], perm=[0, 3, 1, 2]),
    ]
    last = "nchw"
    for name in names:
        nodes.append(helper.make_node("Conv", [last, f"{name}/w"], [name], name=name))
        last = name
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
    ]
    graph = helper.make_graph(
        nodes,
        "hard",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 8])],
        [numpy_helper.from_array(values, f"{name}/w") for name, values in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def test_the_most_sensitive_layer_is_left_out() -> None:
    network = network_with_a_hard_layer()
    pixels = [draw(8, seed) * np.array([1, 1, 0], np.uint8) for seed in range(2)]
    exact = open_network(network, resolution=RESOLUTION, runtime="onnxruntime").run(pixels[0])

    def judge(onnx_bytes: bytes) -> float:
        # In what tells images apart: what is the same for all of them, corrected biases give back.
        found = open_network(onnx_bytes, resolution=RESOLUTION, runtime="onnxruntime")
        return 1 - error(found.run(pixels[0]) - exact.mean(axis=0), exact - exact.mean(axis=0))

    plain = quantise(network, pixels, judge, enough=-np.inf)
    better = quantise(network, pixels, judge, enough=0.95)
    assert plain.left_out == ()
    assert plain.agreement < 0.5
    assert better.left_out == ("hard",)
    assert better.layers == 8
    assert better.agreement >= 0.95
    assert better.agreement == judge(better.onnx_bytes)


def test_no_layer_to_quantise() -> None:
    nodes = [
        helper.make_node("Cast", ["pixels"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["wide"], ["features"], axes=[1, 2], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "none",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(ValueError, match="no layer"):
        quantise(model.SerializeToString(), [draw(8, 0)], lambda _: 1.0)


class Sleeper:
    """A network that takes a known time."""

    runtime, precision, batch = "none", "float32", 4

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def prepare(self) -> None:
        pass

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        import time

        time.sleep(self.seconds)
        return np.zeros((len(pixels), 1), np.float32)


def test_rates_are_of_all_workers() -> None:
    slow, fast = measure_rates([Sleeper(0.04), Sleeper(0.01)], 8, workers=2, rounds=3, seconds=0.1)
    assert slow == pytest.approx(2 * 4 / 0.04, rel=0.35)
    assert fast > 2 * slow
