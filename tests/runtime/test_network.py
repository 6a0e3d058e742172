"""Both runtimes behind the one interface."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from foveate.backbones import find_backbone
from foveate.errors import ModelFileError
from foveate.runtime import Network, open_network

RESOLUTION = 64


@pytest.fixture(scope="module")
def pack() -> bytes:
    return find_backbone("efficientnet-lite0").onnx_bytes()


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (21, 8, 8, 3), dtype=np.uint8)
    return coarse.repeat(RESOLUTION // 8, 1).repeat(RESOLUTION // 8, 2)


@pytest.fixture(scope="module", params=["openvino", "onnxruntime"])
def network(request: pytest.FixtureRequest, pack: bytes) -> Network:
    return open_network(pack, resolution=RESOLUTION, runtime=request.param)


def test_gives_features(network: Network, pixels: NDArray[np.uint8]) -> None:
    features = network.run(pixels)
    assert features.shape == (21, 1280)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert features.std(axis=0).max() > 0.1


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 20])
def test_the_batch_does_not_matter(network: Network, pixels: NDArray[np.uint8], n: int) -> None:
    every = network.run(pixels)
    np.testing.assert_array_equal(network.run(pixels[:n]), every[:n])


def test_threads_do_not_matter(network: Network, pixels: NDArray[np.uint8]) -> None:
    every = network.run(pixels)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(network.run, [pixels[i : i + 3] for i in range(0, 21, 3)]))
    np.testing.assert_array_equal(np.concatenate(found), every)


FIRST_RUNS = """
import numpy as np
from concurrent.futures import ThreadPoolExecutor
from foveate.backbones import find_backbone
from foveate.runtime import open_network
network = open_network(find_backbone("efficientnet-lite0").onnx_bytes(), resolution=64)
pixels = np.zeros((1, 64, 64, 3), np.uint8)
with ThreadPoolExecutor(6) as pool:
    list(pool.map(network.run, [pixels] * 12))
"""


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(4))
def test_the_first_runs_may_come_from_many_threads(attempt: int) -> None:
    """OpenVINO's binding hung here in half of all attempts; see `foveate.runtime.openvino`."""
    subprocess.run([sys.executable, "-c", FIRST_RUNS], check=True, timeout=60)


def test_runtimes_agree_in_float32(pack: bytes, pixels: NDArray[np.uint8]) -> None:
    both = [
        open_network(pack, resolution=RESOLUTION, precision="float32", runtime=runtime).run(pixels)
        for runtime in ("openvino", "onnxruntime")
    ]
    np.testing.assert_allclose(both[0], both[1], atol=2e-3)


def test_precision_is_told(pack: bytes) -> None:
    network = open_network(pack, resolution=RESOLUTION, precision="float32", runtime="openvino")
    assert (network.runtime, network.precision) == ("openvino", "float32")


def test_missing_openvino_falls_back(pack: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "foveate.runtime.openvino", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert open_network(pack, resolution=RESOLUTION).runtime == "onnxruntime"
    with pytest.raises(ImportError):
        open_network(pack, resolution=RESOLUTION, runtime="openvino")


def unsupported_by_openvino() -> bytes:
    """A network with an operator of `ai.onnx.ml` that OpenVINO does not have."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x"], ["pooled"], axes=[1, 2], keepdims=0),
        helper.make_node(
            "TreeEnsembleRegressor",
            ["pooled"],
            ["features"],
            domain="ai.onnx.ml",
            aggregate_function="AVERAGE",
            n_targets=1,
            post_transform="NONE",
            nodes_treeids=[0, 0, 0],
            nodes_nodeids=[0, 1, 2],
            nodes_featureids=[0, 0, 0],
            nodes_values=[127.0, 0.0, 0.0],
            nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
            nodes_truenodeids=[1, 0, 0],
            nodes_falsenodeids=[2, 0, 0],
            target_treeids=[0, 0],
            target_nodeids=[1, 2],
            target_ids=[0, 0],
            target_weights=[1.0, 2.0],
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "odd",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 1])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def test_missing_operator_falls_back(
    pixels: NDArray[np.uint8], caplog: pytest.LogCaptureFixture
) -> None:
    network = open_network(unsupported_by_openvino(), resolution=RESOLUTION)
    assert network.runtime == "onnxruntime"
    assert "OpenVINO cannot run this network" in caplog.text
    red = pixels[..., 0].mean(axis=(1, 2), dtype=np.float32)
    np.testing.assert_array_equal(network.run(pixels)[:, 0], np.where(red <= 127, 1, 2))


def test_what_no_runtime_can_run_is_an_error() -> None:
    with pytest.raises(ModelFileError, match="not an ONNX file"):
        open_network(b"not an onnx file", resolution=RESOLUTION)


def test_a_call_of_onnx_runtime_uses_one_core(pack: bytes) -> None:
    from foveate.runtime import onnxruntime

    network = onnxruntime.OnnxRuntimeNetwork(pack)
    assert network._session.get_session_options().intra_op_num_threads == 1


def test_onnx_runtime_takes_no_more_cores_than_there_are_for_us(
    pack: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from foveate.runtime import onnxruntime

    monkeypatch.setattr(onnxruntime, "usable_cores", lambda: 3)
    session = onnxruntime.open_session(pack, threads=0)
    assert session.get_session_options().intra_op_num_threads == 3
