"""The gradients of our depthwise convolution are those of PyTorch's in float64."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the [refine] extra")
pytestmark = pytest.mark.slow

from torch.nn import functional

from foveate.finetune.depthwise import depthwise


@pytest.mark.parametrize("side", [1, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(13, 13), (16, 11)])
@pytest.mark.parametrize("same", [True, False])
def test_gradients(side: int, stride: int, size: tuple[int, int], same: bool) -> None:
    torch.manual_seed(0)
    padding = side // 2 if same else 0
    x, weight = torch.randn(2, 6, *size), torch.randn(6, 1, side, side)
    bias = torch.randn(6)
    ours = [t.clone().requires_grad_() for t in (x, weight, bias)]
    theirs = [t.double().requires_grad_() for t in (x, weight, bias)]
    found = depthwise(*ours, stride=stride, padding=padding)
    wanted = functional.conv2d(*theirs, stride, padding, groups=6)
    torch.testing.assert_close(found, wanted.float(), atol=1e-4, rtol=1e-4)
    gradient = torch.randn_like(found)
    for mine, original in zip(
        torch.autograd.grad(found, ours, gradient),
        torch.autograd.grad(wanted, theirs, gradient.double()),
        strict=True,
    ):
        torch.testing.assert_close(mine, original.float(), atol=2e-4, rtol=1e-3)


def test_without_bias_and_in_bfloat16() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 8, 9, 9).bfloat16().requires_grad_()
    weight = torch.randn(8, 1, 5, 5).bfloat16().requires_grad_()
    found = depthwise(x, weight, None, stride=2, padding=2)
    assert found.dtype == torch.bfloat16
    found.sum().backward()
    wanted = functional.conv2d(
        x.detach().double(), (w := weight.detach().double().requires_grad_()), None, 2, 2, groups=8
    )
    wanted.sum().backward()
    assert weight.grad is not None
    assert w.grad is not None
    assert (weight.grad.double() - w.grad).norm() < 0.02 * w.grad.norm()
