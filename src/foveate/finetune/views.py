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

GREY = 127.5
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey: ITU-R BT.601."""


def render(pixels: Tensor, views: Views | None, resolution: int) -> Tensor:
    """Views of images.

    Args:
        pixels: (n, s, s, 3) uint8 squares, a little larger than the resolution.
        views: how each is shown; None: the centre, pixel by pixel.
        resolution: pixels a side of a view.

    Returns:
        (n, 3, resolution, resolution) float32 in 0 to 255, channels last in memory.
    """
    if views is None:
        return centre(pixels, resolution).permute(0, 3, 1, 2).float()
    images = pixels.permute(0, 3, 1, 2).float()
    grid = functional.affine_grid(
        _transforms(views, pixels.device),
        [len(pixels), 3, resolution, resolution],
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


def centre(pixels: Tensor, resolution: int) -> Tensor:
    """The middle (n, resolution, resolution, 3) of squares (n, s, s, 3)."""
    margin = (pixels.shape[1] - resolution) // 2
    return pixels[:, margin : margin + resolution, margin : margin + resolution]


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
