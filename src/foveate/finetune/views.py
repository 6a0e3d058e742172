"""Show a batch of images as planned, on the device that trains: crop, turn, mirror, recolour.

All of it is one resampling and a few sums over the batch, so a GPU does in a millisecond what
would keep a dozen CPU cores busy, and what travels to it are bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from foveate.finetune.plan import Views

SHOWN_SMALLER = 7 / 8
"""Side of a view over the resolution that the classifier works at. A view of a part of an image
shows things larger than the whole image does; smaller views make up for some of it, and are learned
from in three quarters of the time (Touvron et al., "Fixing the train-test resolution
discrepancy", NeurIPS 2019)."""

SMALLEST = 224
"""Pixels a side below which views are not made smaller: of aerial tiles at 224 px, views of 192 px
cost half a point of accuracy."""

_STRIDE = 32  # of most networks: sides that it divides waste nothing

GREY = 127.5
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey: ITU-R BT.601."""


def side_of_views(resolution: int, fixed: int | None = None) -> int:
    """Pixels a side of the views to learn from.

    Args:
        resolution: that the classifier works at.
        fixed: the only resolution that its network takes; None where it takes any.
    """
    if fixed is not None:
        return fixed
    smaller = round(SHOWN_SMALLER * resolution / _STRIDE) * _STRIDE
    return min(max(smaller, SMALLEST), resolution)


def render(pixels: Tensor, views: Views | None, side: int) -> Tensor:
    """Views of images.

    Args:
        pixels: (n, s, s, 3) uint8 squares, a little larger than what the classifier sees.
        views: how each is shown; None: the centre, pixel by pixel.
        side: pixels a side of a view.

    Returns:
        (n, 3, side, side) float32 in 0 to 255, channels last in memory.
    """
    if views is None:
        return centre(pixels, side).permute(0, 3, 1, 2).float()
    images = pixels.permute(0, 3, 1, 2).float()
    grid = functional.affine_grid(
        _transforms(views, pixels.device),
        [len(pixels), 3, side, side],
        align_corners=False,
    )
    shown = functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    if views.recoloured:
        shown = _recolour(shown, views)
    if views.erased.any():
        shown = _erase(shown, views)
    return shown.contiguous(memory_format=torch.channels_last)


def centre(pixels: Tensor, side: int) -> Tensor:
    """The middle (n, side, side, 3) of squares (n, s, s, 3)."""
    margin = (pixels.shape[1] - side) // 2
    return pixels[:, margin : margin + side, margin : margin + side]


def mix(images: Tensor, others: Tensor, share: Tensor) -> Tensor:
    """Each image with another mixed in: `share` (n,) of it stays."""
    part = share.view(-1, *[1] * (images.ndim - 1))
    return images * part + others * (1 - part)


def _transforms(views: Views, device: torch.device) -> Tensor:
    """(n, 2, 3): where each point of a view lies in its image, both from −1 to 1."""
    cosine, sine = np.cos(views.turned), np.sin(views.turned)
    rows = [
        [views.mirrored * views.width * cosine, -views.width * sine, 2 * views.x - 1],
        [views.mirrored * views.height * sine, views.height * cosine, 2 * views.y - 1],
    ]
    return _to(device, np.stack([np.stack(row, 1) for row in rows], 1))


def _recolour(images: Tensor, views: Views) -> Tensor:
    """Brightness, then contrast and saturation around the grey of each image."""

    def factor(values: NDArray[np.float32]) -> Tensor:
        return _to(images.device, values).view(-1, 1, 1, 1)

    images = images * factor(views.brightness)
    grey = (images * images.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    images = grey + (images - grey) * factor(views.saturation)
    mean = grey.mean((2, 3), keepdim=True)
    return (mean + (images - mean) * factor(views.contrast)).clamp(0, 255)


def _erase(images: Tensor, views: Views) -> Tensor:
    side = images.shape[-1]
    left, top, right, bottom = (_to(images.device, views.erased) * side).unbind(1)
    at = torch.arange(side, device=images.device) + 0.5
    across = (at >= left[:, None]) & (at < right[:, None])
    down = (at >= top[:, None]) & (at < bottom[:, None])
    return images.masked_fill((down[:, :, None] & across[:, None, :])[:, None], GREY)


def _to(device: torch.device, values: NDArray[np.floating[Any]]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(device, non_blocking=True)
