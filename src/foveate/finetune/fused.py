"""Run a network with its batch normalisation frozen and drawn into the convolutions.

The statistics of batch normalisation stay those of the pretraining: a few hundred images are too
few to take better ones from, and a step's result then depends neither on the size of the batch nor
on how many devices share it. Scale and shift still learn. What is left of the normalisation is a
factor on each channel, and a factor on a channel can as well be a factor on the kernel that made
it: one pass over the activations less, forwards and backwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import torch
from timm.layers import BatchNormAct2d, Conv2dSame, pad_same
from torch import Tensor, nn
from torch.nn import functional

from foveate.finetune.depthwise import depthwise

_CLOSE = 1e-3
"""What drawing a normalisation into a kernel may change in the output, as a share of its size."""


@contextmanager
def fused(network: nn.Module, example: Tensor) -> Iterator[None]:
    """Within, convolutions do the work of the normalisation that follows them.

    Only the modules' `forward` is replaced, and put back at the end: parameters, their names and
    the state of the network stay as they are.

    Args:
        network: any network, in evaluation mode.
        example: an input that it takes.
    """
    with torch.no_grad(), _exact():
        expected = network(example)
    pairs = _pairs(network, example)
    changed: list[nn.Module] = []
    try:
        for convolution, norm in pairs:
            _replace(convolution, partial(_convolve, convolution, norm), changed)
            _replace(norm, partial(_activate, norm), changed)
        with torch.no_grad(), _exact():
            output = network(example)
        if (output - expected).norm() > _CLOSE * expected.norm():
            _restore(changed)  # a network of a kind we do not know
        yield
    finally:
        _restore(changed)


def _exact() -> AbstractContextManager[None]:
    """Within, GPUs convolve in float32: what they round otherwise is more than is looked for."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=torch.backends.cudnn.enabled, allow_tf32=False
    )
    return flags


def freeze_norms(network: nn.Module) -> None:
    """Put the network into training mode, its normalisation layers into evaluation mode."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def _pairs(network: nn.Module, example: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions with the normalisation that takes their output, found by watching one run."""
    made_by: dict[int, nn.Conv2d] = {}
    outputs: list[Tensor] = []  # kept alive, so that no two share an address
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def after_convolution(module: nn.Module, _: Any, output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            made_by[id(output)] = module
            outputs.append(output)

    def before_norm(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(module, nn.BatchNorm2d) and id(inputs[0]) in made_by:
            pairs.append((made_by.pop(id(inputs[0])), module))

    hooks = [
        module.register_forward_hook(after_convolution)
        if isinstance(module, nn.Conv2d)
        else module.register_forward_pre_hook(before_norm)
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    with torch.no_grad():
        network(example)
    for hook in hooks:
        hook.remove()
    seen = [module for pair in pairs for module in pair]
    # A module that runs twice in one pass cannot have one partner.
    return [pair for pair in pairs if _usable(*pair) and all(seen.count(m) == 1 for m in pair)]


def _convolve(convolution: nn.Conv2d, norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """The convolution with the normalisation's factor in its kernel, and its shift as bias."""
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise AssertionError("checked by `_usable`")
    factor = torch.rsqrt(variance + norm.eps)
    factor = factor if norm.weight is None else factor * norm.weight
    shift = -mean * factor if convolution.bias is None else (convolution.bias - mean) * factor
    shift = shift if norm.bias is None else shift + norm.bias
    weight = convolution.weight * factor.view(-1, 1, 1, 1)
    padding = convolution.padding
    if isinstance(convolution, Conv2dSame):
        x = pad_same(x, list(convolution.kernel_size), convolution.stride, convolution.dilation)
        padding = (0, 0)
    if _is_plain_depthwise(convolution, padding) and x.device.type == "cpu":
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        return depthwise(
            x.to(dtype),
            weight.to(dtype),
            shift.to(dtype),
            stride=convolution.stride[0],
            padding=int(padding[0]),
        )
    return functional.conv2d(
        x, weight, shift, convolution.stride, padding, convolution.dilation, convolution.groups
    )


def _activate(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """What is left of the normalisation: timm's layers carry the activation with them."""
    if isinstance(norm, BatchNormAct2d):
        x = norm.act(norm.drop(x))
    return x


def _is_plain_depthwise(convolution: nn.Conv2d, padding: tuple[int, ...] | str) -> bool:
    return (
        convolution.groups == convolution.in_channels == convolution.out_channels
        and convolution.kernel_size[0] == convolution.kernel_size[1]
        and convolution.stride[0] == convolution.stride[1]
        and convolution.dilation == (1, 1)
        and not isinstance(padding, str)
        and padding[0] == padding[1] < convolution.kernel_size[0]
    )


def _usable(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> bool:
    return convolution.padding_mode == "zeros" and norm.running_mean is not None


def _replace(
    module: nn.Module, forward: Callable[[Tensor], Tensor], changed: list[nn.Module]
) -> None:
    changed.append(module)
    module.__dict__["forward"] = forward


def _restore(changed: list[nn.Module]) -> None:
    while changed:
        changed.pop().__dict__.pop("forward", None)
