"""What timm and torchvision build: nothing random inside, and for the resolution asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
torchvision = pytest.importorskip("torchvision")

from torch import Tensor, nn

from foveate.backbones import find_backbone
from foveate.backbones.libraries import draft, leave_nothing_out
from foveate.backbones.names import parse_name
from foveate.backbones.network import build_network, load_pretrained
from foveate.backbones.proof import draw_images
from foveate.cli import run
from foveate.errors import BackboneError
from foveate.finetune.fused import freeze_norms

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # of the libraries' own

VIT = "timm:vit_tiny_patch16_224"


def gradient(module: nn.Module, batches: list[Tensor]) -> Tensor:
    """The gradient of all parameters, added up over batches."""
    module.zero_grad()
    torch.manual_seed(len(batches))
    for images in batches:
        features = module(images)
        (features * torch.linspace(-1, 1, features.shape[1])).sum().backward()
    found = [p.grad.flatten() for p in module.parameters() if p.grad is not None]
    return torch.cat(found)


@pytest.mark.parametrize(
    "text",
    [
        "torchvision:efficientnet_b0",  # stochastic depth
        "timm:ghostnet_050",  # dropout before a last layer that is not there
    ],
)
def test_halves_of_a_batch_have_the_gradients_of_the_whole(text: str) -> None:
    torch.manual_seed(0)
    blueprint = draft(parse_name(text))
    freeze_norms(blueprint.module)
    side = blueprint.fixed_resolution or 64
    images = torch.randn(8, 3, side, side, generator=torch.Generator().manual_seed(0))
    whole = gradient(blueprint.module, [images])
    halves = gradient(blueprint.module, list(images.split(4)))
    assert float(whole.norm()) > 0
    assert float((halves - whole).norm() / whole.norm()) < 1e-4


def test_everything_that_leaves_parts_out_rests() -> None:
    layers = [
        nn.Dropout2d(0.5),
        torchvision.ops.StochasticDepth(0.5, "row"),
        timm.layers.DropPath(0.5),
        timm.layers.PatchDropout(0.5),
        torchvision.models.densenet._DenseLayer(4, 4, 1, drop_rate=0.5),
    ]
    x = torch.randn(64, 4, 8, 8)
    for layer in layers:
        inputs = x.flatten(2) if isinstance(layer, timm.layers.PatchDropout) else x
        for module in layer.train().modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        assert not _same_twice(layer, inputs), layer
        leave_nothing_out(layer)
        assert _same_twice(layer, inputs), layer


def test_powers_of_a_pooling_are_no_rates() -> None:
    pooling = nn.LPPool2d(2.0, 3)
    pooling.p = 3.0
    leave_nothing_out(pooling)
    assert pooling.p == 3.0


def _same_twice(layer: nn.Module, x: Tensor) -> bool:
    with torch.no_grad():
        first, second = layer(x), layer(x)
    return first.shape == second.shape and bool(torch.equal(first, second))


def test_a_transformer_for_another_resolution(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    made = timm.create_model("vit_tiny_patch16_224", pretrained=False)
    nn.init.normal_(made.pos_embed)
    torch.save(made.state_dict(), tmp_path / "w.pth")
    add = ["backbones", "add", VIT, "--weights", str(tmp_path / "w.pth")]
    assert run([*add, "--resolution", "96", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert (card["name"], card["fixed_resolution"]) == ("timm-vit_tiny_patch16_224-96px", 96)
    backbone = find_backbone(f"{VIT}-96px", resolution=96)
    with pytest.raises(BackboneError, match=rf"add {VIT} --resolution 224`"):
        find_backbone(f"{VIT}-96px", resolution=224)
    with pytest.raises(BackboneError, match=f"backbones add {VIT}`"):
        find_backbone(VIT)  # that was not added
    network = load_pretrained(backbone)
    assert (network.name, network.fixed_resolution) == (backbone.card.name, 96)
    theirs = timm.create_model(
        "vit_tiny_patch16_224",
        pretrained=True,
        num_classes=0,
        img_size=96,
        pretrained_cfg_overlay={"file": str(tmp_path / "w.pth")},
    ).eval()
    pixels = torch.from_numpy(draw_images(96, 96))
    images = ((pixels - network.mean) / network.std).permute(0, 3, 1, 2)
    with torch.inference_mode():
        torch.testing.assert_close(network(pixels), theirs(images))


def test_a_transformer_of_torchvision_for_another_resolution() -> None:
    name = parse_name("torchvision:vit_b_32")
    small = {"num_layers": 1, "hidden_dim": 64, "mlp_dim": 64, "num_heads": 2, "patch_size": 32}
    torch.manual_seed(0)
    trained = torchvision.models.VisionTransformer(image_size=224, **small)
    with pytest.MonkeyPatch.context() as patch:
        # The true one has 88 million parameters.
        patch.setattr(
            torchvision.models,
            "get_model",
            lambda *_, weights, image_size: torchvision.models.VisionTransformer(
                image_size=image_size, **small
            ),
        )
        network = build_network(parse_name("torchvision:vit_b_32-128px"), trained.state_dict())
    assert (network.name, network.fixed_resolution) == ("torchvision-vit_b_32-128px", 128)
    assert network.reference == f"{name.reference}-128px"
    found = network.network.encoder.pos_embedding
    assert found.shape == (1, 17, 64)
    was = trained.encoder.pos_embedding
    torch.testing.assert_close(found[:, 0], was[:, 0])
    # Corners stay corners.
    for new, old in ((1, 1), (4, 7), (13, 43), (16, 49)):
        torch.testing.assert_close(found[:, new], was[:, old])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("torchvision:maxvit_t-256px", "torchvision cannot build ‘maxvit_t’ for 256 px"),
        ("timm:levit_128s-320px", "timm cannot fit them to 320 px"),
    ],
)
def test_what_cannot_be_built_is_a_sentence(text: str, said: str) -> None:
    name = parse_name(text)
    weights = None
    if name.library == "timm":
        weights = timm.create_model(name.model, pretrained=False).state_dict()
    with pytest.raises(BackboneError, match=said):
        build_network(name, weights)


def test_what_takes_any_size_is_not_built_for_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = timm.create_model("test_resnet", pretrained=False)
    torch.save(made.state_dict(), tmp_path / "w.pth")
    add = ["backbones", "add", "timm:test_resnet", "--weights", str(tmp_path / "w.pth")]
    assert run([*add, "--resolution", "96", "--json"]) == 1
    assert "any size" in json.loads(capsys.readouterr().out)["error"]
    with pytest.raises(BackboneError, match="There is no backbone"):
        find_backbone("timm:test_resnet-96px")
