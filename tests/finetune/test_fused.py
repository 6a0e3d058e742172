"""Frozen normalisation drawn into the kernels changes neither outputs nor gradients."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the [refine] extra")
timm = pytest.importorskip("timm", reason="needs the [refine] extra")
pytestmark = pytest.mark.slow

from torch import Tensor, nn

from foveate.finetune.fused import freeze_norms, fused


class Twice(nn.Module):
    """One convolution with two readers: its normalisation must stay where it is."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        made = self.convolution(x)
        return (self.norm(made) + made).mean((2, 3))


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    made: nn.Module = (
        Twice() if name == "twice" else timm.create_model(name, num_classes=0, drop_path_rate=0)
    )
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):  # statistics as if it had been trained
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
    freeze_norms(made)
    return made


def gradients(made: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    made.zero_grad()
    found = made(x)
    (found * torch.linspace(-1, 1, found.shape[1])).sum().backward()
    return found.detach(), {n: p.grad.clone() for n, p in made.named_parameters()}


@pytest.mark.parametrize(
    "name", ["tf_efficientnet_lite0", "resnet18", "mobilenetv2_050", "convnext_atto", "twice"]
)
def test_nothing_changes(name: str) -> None:
    made = network(name)
    x = torch.randn(2, 3, 64, 64)
    wanted, plain = gradients(made, x)
    state = {key: value.clone() for key, value in made.state_dict().items()}
    with fused(made, x):
        found, ours = gradients(made, x)
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)
    for key, gradient in plain.items():
        assert (ours[key] - gradient).norm() <= 5e-3 * gradient.norm() + 1e-4, key
    for key, value in made.state_dict().items():
        assert torch.equal(value, state[key]), key
    after, _ = gradients(made, x)
    torch.testing.assert_close(after, wanted)


@pytest.mark.parametrize(("name", "norms"), [("resnet18", 20), ("twice", 0)])
def test_which_normalisation_is_gone(name: str, norms: int) -> None:
    made = network(name)
    x = torch.randn(1, 3, 64, 64)
    with fused(made, x):
        replaced = [
            module
            for module in made.modules()
            if isinstance(module, nn.BatchNorm2d) and "forward" in vars(module)
        ]
    assert len(replaced) == norms
    assert not any("forward" in vars(module) for module in made.modules())


def test_norms_do_not_move() -> None:
    made = network("resnet18")
    before = made.bn1.running_mean.clone()
    made(torch.randn(4, 3, 64, 64))
    assert made.training
    assert torch.equal(made.bn1.running_mean, before)
