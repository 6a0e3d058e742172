"""Images drawn by code, on which the pack is compared with the original network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def draw_pixels(resolution: int) -> NDArray[np.uint8]:
    """Four images (4, resolution, resolution, 3): stripes, dots, a gradient, and blocks."""
    y, x = np.mgrid[:resolution, :resolution] / resolution
    stripes = 127 + 120 * np.sin(40 * (x + 0.3 * y))
    dots = np.where(np.hypot((8 * x) % 1 - 0.5, (8 * y) % 1 - 0.5) < 0.3, 230, 40)
    gradient = 255 * x * y
    blocks = np.random.default_rng(0).integers(0, 255, (8, 8)).repeat(resolution // 8, 0)
    blocks = blocks.repeat(resolution // 8, 1)
    tints = np.array([[1, 0.8, 0.6], [0.7, 1, 0.9], [0.9, 0.6, 1], [1, 1, 0.5]])
    grey = np.stack([stripes, dots, gradient, blocks])
    return (grey[..., None] * tints[:, None, None, :]).astype(np.uint8)
