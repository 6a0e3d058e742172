"""Features of several depths: which, and that they are what they are said to be."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from foveate.backbones import find_backbone, giving
from foveate.backbones.depths import WIDTH, _signs, find_depths, with_depths
from foveate.runtime import open_network
from foveate.runtime.untrusted import read_graph

BACKBONE = find_backbone("efficientnet-lite0")


def pixels(n: int = 3, side: int = 96) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (n, side // 8, side // 8, 3), np.uint8)
    return coarse.repeat(8, 1).repeat(8, 2)


def test_the_depths_are_the_blocks() -> None:
    depths = find_depths(read_graph(BACKBONE.onnx_bytes()), 224)
    assert [depth.name for depth in depths] == [f"block{i}/depthwise/relu6" for i in range(16)]
    assert sum(depth.channels for depth in depths) == 8960
    assert not any(depth.class_token for depth in depths)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_features_are_what_the_docs_say(runtime: str) -> None:
    pack, card = giving(BACKBONE.onnx_bytes(), BACKBONE.card, "depths")
    model = onnx.load_from_string(BACKBONE.onnx_bytes())
    names = [depth.name for depth in find_depths(model, 224)]
    for name in names:
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString())
    last, *inside = session.run(["features", *names], {"pixels": pixels()})
    parts = [*(block.mean((2, 3)) for block in inside)]
    parts = [np.sqrt(part / part.sum(1, keepdims=True)) for part in [last, *parts]]
    every = np.concatenate(parts, 1) * _signs(10_240)
    expected = every.reshape(3, 5, WIDTH).sum(1)

    network = open_network(pack, resolution=96, runtime=runtime, precision="float32")
    features = network.run(pixels())
    assert features.shape == (3, card.dimension) == (3, WIDTH)
    np.testing.assert_allclose(features, expected, atol=2e-4)
    # One image alone gives the same: nothing is summed over a batch.
    np.testing.assert_allclose(network.run(pixels()[:1]), features[:1], atol=1e-5)


def test_the_same_bytes_for_ever() -> None:
    """Workers of a cluster make them each for itself, and caches are named after them."""
    assert _signs(8).tolist() == [-1, 1, 1, -1, 1, 1, 1, 1]
    one, other = (with_depths(BACKBONE.onnx_bytes(), 224) for _ in range(2))
    assert one == other


def test_the_card_says_so() -> None:
    backbone = BACKBONE.giving("depths")
    assert backbone.card.features == "depths"
    assert backbone.card.pack_sha256 != BACKBONE.card.pack_sha256
    assert backbone.card.model_copy(
        update={
            "features": "last",
            "dimension": BACKBONE.card.dimension,
            "pack_sha256": BACKBONE.card.pack_sha256,
        }
    ) == (BACKBONE.card)
    assert BACKBONE.giving("last") is BACKBONE
    assert backbone.giving("last") == BACKBONE
    assert find_backbone("efficientnet-lite0", features="depths").card == backbone.card


def small(tokens: int | None = None) -> onnx.ModelProto:
    """Patches of 8 pixels, embedded in 12 numbers; as a map, or with `tokens` extra tokens."""
    weights = {
        "kernel": np.ones((12, 3, 8, 8), np.float32),
        "matrix": np.ones((12, 12), np.float32),
        "flat": np.array([0, 12, -1], np.int64),
        "token": np.ones((1, tokens or 1, 12), np.float32),
        "rest": np.ones(2, np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["image"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["image", "kernel"], ["patches"], strides=[8, 8]),
    ]
    if tokens is None:
        weights["second"] = np.ones((12, 12, 1, 1), np.float32)
        nodes += [
            helper.make_node("Relu", ["patches"], ["active"]),
            helper.make_node("Conv", ["active", "second"], ["out"]),
            helper.make_node("ReduceMean", ["out"], ["features"], axes=[2, 3], keepdims=0),
        ]
    else:
        nodes += [
            helper.make_node("Reshape", ["patches", "flat"], ["row"]),
            helper.make_node("Transpose", ["row"], ["places"], perm=[0, 2, 1]),
            helper.make_node("Shape", ["pixels"], ["images"], start=0, end=1),
            helper.make_node("Concat", ["images", "rest"], ["size"], axis=0),
            helper.make_node("Expand", ["token", "size"], ["extra"]),
            helper.make_node("Concat", ["extra", "places"], ["tokens"], axis=1),
            helper.make_node("MatMul", ["tokens", "matrix"], ["mixed"]),
            helper.make_node("ReduceMean", ["mixed"], ["features"], axes=[1], keepdims=0),
        ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 12])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_class_token_is_told_apart() -> None:
    (depth,) = find_depths(small(tokens=1), 32)
    assert (depth.size, depth.channels, depth.class_token) == ((17,), 12, True)
    made = with_depths(small(tokens=1).SerializeToString(), 32)
    assert made is not None
    assert made[1] == 12 + 12 + 12  # the last, the token, the mean of the places
    network = open_network(made[0], resolution=32, precision="float32")
    features = network.run(pixels(2, 32))
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), np.sqrt(3), rtol=1e-4)


def test_a_map_has_places() -> None:
    (depth,) = find_depths(small(), 32)
    assert (depth.name, depth.size, depth.class_token) == ("active", (4, 4), False)
    with_features = with_depths(small().SerializeToString(), 32)
    assert with_features is not None
    assert with_features[1] == 24


def test_a_network_without_depths_gives_what_it_has() -> None:
    model = small()
    del model.graph.node[3:]
    node = helper.make_node("ReduceMean", ["patches"], ["features"], axes=[2, 3], keepdims=0)
    model.graph.node.append(node)
    pack = model.SerializeToString()
    assert with_depths(pack, 32) is None
    card = BACKBONE.card.model_copy(update={"resolution": 32, "dimension": 12})
    assert giving(pack, card, "depths") == (pack, card)
