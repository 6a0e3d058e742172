"""Layers as the exporter understands them, right at every resolution."""

from __future__ import annotations

from collections.abc import Callable

import torch
from timm.layers import Conv2dSame
from timm.models.vgg import ConvMlp
from torch import Tensor, nn


def make_exportable(module: nn.Module) -> None:
    """Replace, in place, what tracing would freeze at one resolution or export clumsily."""
    for layer in list(module.modules()):
        if getattr(layer, "fused_attn", False) is True:
            # Written out, attention is plain matrix products, which runtimes fuse themselves.
            layer.fused_attn = False
        for name, child in list(layer.named_children()):
            for kind, replacement in _REPLACEMENTS.items():
                if type(child) is kind:
                    setattr(layer, name, replacement(child))


class SameConvolution(nn.Module):
    """A convolution with TensorFlow's "same" padding, which ONNX has an attribute for."""

    def __init__(self, original: nn.Conv2d) -> None:
        super().__init__()
        self.original = original

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, c, H, W) → (n, d, ⌈H / stride⌉, ⌈W / stride⌉)."""
        layer = self.original
        tensors = (x, layer.weight) if layer.bias is None else (x, layer.weight, layer.bias)
        result: Tensor = _SameConvolution.apply(layer, *tensors)
        return result


class _SameConvolution(torch.autograd.Function):
    """Runs timm's layer, and is exported as one node."""

    @staticmethod
    def forward(ctx: object, layer: nn.Conv2d, *tensors: Tensor) -> Tensor:  # noqa: ARG004
        """Run the layer."""
        result: Tensor = layer(tensors[0])
        return result

    @staticmethod
    def symbolic(g: object, layer: nn.Conv2d, *tensors: object) -> object:
        """The node."""
        return g.op(  # type: ignore[attr-defined]
            "Conv",
            *tensors,
            kernel_shape_i=list(layer.kernel_size),
            strides_i=list(layer.stride),
            dilations_i=list(layer.dilation),
            group_i=layer.groups,
            auto_pad_s="SAME_UPPER",
        )


class AdaptiveAverage(nn.Module):
    """Adaptive average pooling as two matrix products, so that any input size does.

    Cell i of n averages the rows from ⌊i·H/n⌋ up to ⌈(i+1)·H/n⌉ (PyTorch's AdaptiveAvgPool2d).
    """

    def __init__(self, cells: tuple[int, int], *, at_least: bool = False) -> None:
        super().__init__()
        self.cells = cells
        self.at_least = at_least

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, c, H, W) → (n, c, *cells); `at_least` leaves what is larger as it is."""
        rows, high = self._members(x.shape[2], self.cells[0])
        columns, wide = self._members(x.shape[3], self.cells[1])
        # Ones and zeros first, then the division: bfloat16 has no third or seventh.
        summed = torch.matmul(torch.matmul(rows, x), columns.transpose(0, 1))
        return summed / (high[:, None] * wide[None, :])

    def _members(self, size: int | Tensor, cells: int) -> tuple[Tensor, Tensor]:
        """Which rows (cells, size) belong to which cell, and how many they are (cells,)."""
        total = torch.as_tensor(size)
        number = torch.clamp(total, min=cells) if self.at_least else torch.as_tensor(cells)
        cell = torch.arange(number) if self.at_least else torch.arange(cells)
        row = torch.arange(total)
        start = (cell * total) // number
        end = ((cell + 1) * total + number - 1) // number
        inside = (row[None, :] >= start[:, None]) & (row[None, :] < end[:, None])
        return inside.to(torch.float32), (end - start).to(torch.float32)


class PooledMlp(nn.Module):
    """The head of timm's VGG, whose choice by the size of its input tracing would freeze."""

    def __init__(self, original: ConvMlp) -> None:
        super().__init__()
        side = original.input_kernel_size
        self.enlarge = AdaptiveAverage((side, side), at_least=True)
        self.layers = nn.Sequential(original.fc1, original.act1, original.fc2, original.act2)

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, c, H, W) → (n, d, H', W')."""
        result: Tensor = self.layers(self.enlarge(x))
        return result


def _adaptive(original: nn.AdaptiveAvgPool2d) -> nn.Module:
    size = original.output_size
    cells = size if isinstance(size, tuple) else (size, size)
    if cells in ((1, 1), (None, None)) or None in cells:
        return original
    return AdaptiveAverage(cells)


_REPLACEMENTS: dict[type, Callable[..., nn.Module]] = {
    Conv2dSame: SameConvolution,
    nn.AdaptiveAvgPool2d: _adaptive,
    ConvMlp: PooledMlp,
}
