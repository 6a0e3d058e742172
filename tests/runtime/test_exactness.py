"""Sums of products of bytes, at the extremes of both, on whatever processor this is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from foveate.errors import ModelFileError
from foveate.runtime import network, open_network
from foveate.runtime.exactness import (
    LARGEST,
    PAIR_FITS,
    SIDE,
    largest_pairs,
    pairs_fit,
    stays_white,
    white_network,
)
from foveate.runtime.openvino_ir import save_ir
from foveate.runtime.qdq import calibrate, insert_pairs, widen

FITS = PAIR_FITS // 2
"""The largest weight that all of a channel may have."""

RUNTIMES = ["openvino", "onnxruntime"]
WEIGHT = 0.5
CHANNELS = 32


def signs(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """+1 or -1: all the same in two of three rows, at random in the third."""
    rng = np.random.default_rng(0)
    found = rng.choice([-1, 1], shape).astype(np.float32)
    found[::3], found[1::3] = 1, -1
    return found


# (operator, weights' shape, attributes); 48 values are what 4 x 4 pixels make.
LAYERS = {
    "three channels": ("Conv", (CHANNELS, 3, 3, 3), {}),
    "point": ("Conv", (CHANNELS, 48, 1, 1), {}),
    "window": ("Conv", (CHANNELS, 48, 3, 3), {}),
    "depthwise": ("Conv", (48, 1, 3, 3), {"group": 48}),
    "gemm": ("Gemm", (CHANNELS, 48), {"transB": 1}),
    "matmul": ("MatMul", (48, CHANNELS), {}),
}


def one_layer(kind: str, weight: float = WEIGHT) -> bytes:
    """A float network of one layer, all of whose weights are at the extreme of their channel."""
    operator, shape, attributes = LAYERS[kind]
    weights = signs(shape) * np.float32(weight)
    nodes = [
        helper.make_node("Cast", ["pixels"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["wide"], ["nchw"], perm=[0, 3, 1, 2]),
    ]
    read = "nchw"
    if shape[1] != 3:
        nodes.append(helper.make_node("SpaceToDepth", ["nchw"], ["deep"], blocksize=4))
        read = "deep"
    if operator != "Conv":
        nodes += [
            helper.make_node("GlobalMaxPool", ["deep"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
        ]
        read = "flat"
    nodes.append(helper.make_node(operator, [read, "w"], ["sums"], name="layer", **attributes))
    if operator == "Conv":
        nodes.append(helper.make_node("Flatten", ["sums"], ["features"]))
    else:
        nodes.append(helper.make_node("Identity", ["sums"], ["features"]))
    graph = helper.make_graph(
        nodes,
        kind.replace(" ", "-"),
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", None])],
        [numpy_helper.from_array(weights, "w")],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def largest_weight(onnx_bytes: bytes) -> int:
    tensors = onnx.load_from_string(onnx_bytes).graph.initializer
    return max(
        int(np.abs(numpy_helper.to_array(tensor).astype(int)).max())
        for tensor in tensors
        if tensor.data_type == TensorProto.INT8
    )


def images() -> NDArray[np.uint8]:
    """White, black, and white with black spots."""
    rng = np.random.default_rng(1)
    found = np.full((8, SIDE, SIDE, 3), 255, np.uint8)
    found[1] = 0
    found[2:] *= rng.random((6, SIDE, SIDE, 3)) < 0.8
    return found


def exact_features(onnx_bytes: bytes, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What a float network gives, by whole numbers: ONNX's reference, with the weights as ±1."""
    model = onnx.load_from_string(onnx_bytes)
    (weights,) = model.graph.initializer
    weights.CopyFrom(numpy_helper.from_array(np.sign(numpy_helper.to_array(weights)), "w"))
    from onnx.reference import ReferenceEvaluator

    # Sums of at most 432 bytes are whole numbers below 2^24, which float32 holds exactly.
    (sums,) = ReferenceEvaluator(model).run(None, {"pixels": pixels})
    np.testing.assert_array_equal(sums, np.rint(sums))
    found: NDArray[np.float64] = sums.astype(np.float64) * WEIGHT
    return found


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("kind", LAYERS)
def test_what_the_quantiser_makes_is_exact_at_the_extremes(kind: str, runtime: str) -> None:
    model = widen(one_layer(kind))
    data = insert_pairs(model, calibrate(model, [images()]), ())
    # The test is at the extreme that the quantiser has; it would see nothing with less.
    assert largest_weight(data) == FITS
    exact = exact_features(one_layer(kind), images())
    step = np.ptp(exact) / 255
    found = open_network(data, resolution=SIDE, runtime=runtime)  # type: ignore[arg-type]
    assert (found.runtime, found.precision) == (runtime, "int8")
    np.testing.assert_allclose(found.run(images()), exact, atol=1.01 * step)
    np.testing.assert_allclose(found.run(images()[:1]), exact[:1], atol=1.01 * step)


def test_two_products_fit_sixteen_bits() -> None:
    assert 255 * PAIR_FITS <= np.iinfo(np.int16).max < 255 * (PAIR_FITS + 1)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_white_stays_white(runtime: str) -> None:
    for weight in (FITS, 1):
        data = white_network(weight)
        onnx.checker.check_model(data, full_check=True)
        assert pairs_fit(data)
        assert stays_white(open_network(data, resolution=SIDE, runtime=runtime))  # type: ignore[arg-type]


def test_onnx_runtime_is_exact_with_all_eight_bits_too() -> None:
    assert network.sums_are_exact("onnxruntime", LARGEST, "auto")


class Saturating:
    """The white network, layer by layer, as 16-bit sums of two products make it."""

    runtime, precision, batch = "none", "int8", 2

    def __init__(self, weight: int) -> None:
        self.share = min(32767, 2 * 255 * weight) / (2 * 255 * weight)

    def prepare(self) -> None: ...

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.full((len(pixels), 64), np.rint(255 * self.share), np.float32)


@pytest.mark.parametrize("weight", [FITS, FITS + 1, LARGEST])
def test_one_weight_too_large_is_seen(weight: int) -> None:
    assert stays_white(Saturating(weight)) == (weight == FITS)


@pytest.mark.parametrize("weight", [FITS + 1, LARGEST])
def test_a_processor_that_saturates_is_seen(weight: int) -> None:
    """ONNX Runtime as it is when it is not asked to be exact, where that makes a difference."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(white_network(weight), options)
    white = np.full((1, SIDE, SIDE, 3), 255, np.uint8)
    (found,) = session.run(None, {"pixels": white})
    if np.allclose(found, 255):
        pytest.skip("this processor loses nothing of a sum")
    assert not np.allclose(found, 255, atol=1)


def eight_bits(kind: str) -> bytes:
    """A network as foveate made it before it knew of processors that saturate."""
    import onnxruntime.quantization as tools

    model = widen(one_layer(kind))
    real = tools.QDQQuantizer
    before = {"reduce_range": False, "extra_options": {}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tools, "QDQQuantizer", lambda *a, **k: real(*a, **(k | before)))
        return insert_pairs(model, calibrate(model, [images()]), ())


@pytest.mark.parametrize("runtime", ["auto", *RUNTIMES])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_file_made_before_is_right_or_refused(kind: str, runtime: str) -> None:
    data = eight_bits(kind)
    assert largest_weight(data) == LARGEST
    assert not pairs_fit(data)
    exact = exact_features(one_layer(kind), images())
    if runtime == "openvino" and not network.sums_are_exact(runtime, LARGEST, "auto"):
        with pytest.raises(ModelFileError, match="make the file again"):
            open_network(data, resolution=SIDE, runtime="openvino")
        return
    found = open_network(data, resolution=SIDE, runtime=runtime)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.run(images()), exact, atol=1.01 * np.ptp(exact) / 255)


def test_where_openvino_is_wrong_onnx_runtime_computes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[tuple[str, int]] = []

    def exact(runtime: str, weight: int, precision: str) -> bool:
        tried.append((runtime, weight))
        return runtime == "onnxruntime"

    monkeypatch.setattr(network, "sums_are_exact", exact)
    assert open_network(eight_bits("point"), resolution=SIDE).runtime == "onnxruntime"
    assert tried == [("openvino", LARGEST), ("onnxruntime", LARGEST)]
    assert "wrong on this processor" in caplog.text
    with pytest.raises(ModelFileError, match=r"OpenVINO.*foveate export --int8"):
        open_network(eight_bits("point"), resolution=SIDE, runtime="openvino")


@pytest.mark.parametrize("runtime", ["auto", *RUNTIMES])
def test_a_machine_that_is_wrong_says_so(runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "sums_are_exact", lambda *a: False)
    with pytest.raises(ModelFileError, match=r"wrong on this processor.*Use the original"):
        open_network(white_network(FITS), resolution=SIDE, runtime=runtime)  # type: ignore[arg-type]
    # Floating point does not care.
    open_network(one_layer("point"), resolution=SIDE, runtime=runtime)  # type: ignore[arg-type]


def test_pairs_are_of_one_sign() -> None:
    rows = np.array([[3, -127, 127, 0], [64, 64, -1, -2], [-5, -6, 4, 0], [0, 0, 0, 0]])
    assert largest_pairs(rows).tolist() == [130, 128, 11, 0]
    assert largest_pairs(np.array([[7], [-9]])).tolist() == [7, 9]


def test_no_weight_is_overlooked() -> None:
    assert pairs_fit(one_layer("point"))
    assert not pairs_fit(white_network(FITS + 1))
    model = onnx.load_from_string(white_network(FITS))
    for values, fit in (([3, -125], True), ([-3, -126], False), ([100, 29], False)):
        hidden = numpy_helper.from_array(np.array(values, np.int8))
        model.graph.node.append(helper.make_node("Constant", [], ["hidden"], value=hidden))
        assert pairs_fit(model.SerializeToString()) == fit
        del model.graph.node[-1]
    unsigned = numpy_helper.from_array(np.array([1, 2], np.uint8), "unsigned")
    model.graph.initializer.append(unsigned)
    assert not pairs_fit(model.SerializeToString())


@pytest.mark.parametrize("made", ["before", "now"])
def test_openvino_files_are_right_on_every_processor(made: str, tmp_path: Path) -> None:
    """They are run without foveate, which could not say then that a processor is wrong."""
    model = onnx.load_from_string(white_network(FITS if made == "now" else LARGEST))
    model.graph.node[-1].output[0] = model.graph.output[0].name = "probabilities"
    arguments = {
        "resolution": SIDE,
        "info": {},
        "pixels": np.full((1, SIDE, SIDE, 3), 255, np.uint8),
    }
    path = tmp_path / "m.xml"
    if made == "now":
        assert save_ir(model.SerializeToString(), path, **arguments) == 0
        return
    with pytest.raises(RuntimeError, match="too large for processors without VNNI"):
        save_ir(model.SerializeToString(), path, **arguments)
    assert list(tmp_path.iterdir()) == []
