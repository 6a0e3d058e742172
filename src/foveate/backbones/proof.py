"""Prove a pack: its features are those of the network in PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foveate.errors import BackboneError
from foveate.runtime import Network, open_network
from foveate.runtime.onnxruntime import open_session

if TYPE_CHECKING:
    from foveate.backbones.network import PretrainedNetwork

LEAST_COSINE = 0.999
MOST_DIFFERENCE = 0.1
"""Of the spread between images. What float16 and careful rounding change is a few hundredths of it;
a network that is wrong differs by about 1, even where its cosine is close to 1."""

LEAST_SPREAD = 0.05
"""Of the size of the features. A network with random weights may give all images nearly the same
features; less than this between them is not held against rounding."""

ODD = (161, 161)
"""Odd, not a multiple of any stride: where paddings go wrong."""

LONG = (64, 1024)
"""The widest image, at the cost of a small one."""


def prove(pack: bytes, network: PretrainedNetwork) -> None:
    """Compare a pack in ONNX Runtime, and in what runs it here, with the network in PyTorch.

    In float32, on images drawn by code, at several resolutions (one, where the network takes one
    only) and in batches of several sizes.

    Args:
        pack: as `export_onnx` gives it.
        network: what it was exported from.

    Raises:
        BackboneError: features differ, or are not numbers; the message says where.
    """
    session = open_session(pack, threads=0)
    fixed = network.fixed_resolution
    side = fixed or network.resolution
    sizes = [(side, side)] if fixed else [(side, side), (64, 64), ODD, (96, 160), LONG]
    for height, width in sizes:
        images = draw_images(height, width)
        try:
            wanted = _original(network, images)
        except RuntimeError:
            if (height, width) == (side, side):
                raise
            continue  # smaller than the network can take at all
        differences = [
            session.run(["features"], {"pixels": part})[0]
            for part in (images[:1], images[1:4], images[4:])
        ]
        _compare(np.concatenate(differences), wanted, f"ONNX Runtime at {width}×{height}")
    images = draw_images(side, side)
    running = _open(pack, side)
    _compare(running.run(images), _original(network, images), f"{running.runtime} at {side}×{side}")


def draw_images(height: int, width: int) -> NDArray[np.uint8]:
    """Six images (6, height, width, 3) uint8: stripes, dots, gradients, blocks and noise."""
    y, x = np.mgrid[:height, :width]
    y, x = y / height, x / width
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (9, 9))[(9 * y).astype(int), (9 * x).astype(int)]
    grey = np.stack(
        [
            127 + 120 * np.sin(40 * (x + 0.3 * y)),
            np.where(np.hypot((8 * x) % 1 - 0.5, (8 * y) % 1 - 0.5) < 0.3, 230, 40),
            255 * x * y,
            255 * np.maximum(0, 1 - 2 * np.hypot(x - 0.6, y - 0.4)),
            blocks,
            rng.integers(0, 256, (height, width)),
        ]
    )
    tints = np.array([[1, 0.8, 0.6], [0.7, 1, 0.9], [0.9, 0.6, 1], [1, 1, 0.5]])
    tinted = grey[..., None] * tints[[0, 1, 2, 3, 0, 1], None, None]
    images: NDArray[np.uint8] = tinted.astype(np.uint8)
    return images


def _open(pack: bytes, resolution: int) -> Network:
    return open_network(pack, resolution=resolution, precision="float32")


def _original(network: PretrainedNetwork, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    import torch

    device = network.mean.device
    with torch.inference_mode():
        features = network(torch.from_numpy(images).to(device))
    original: NDArray[np.float32] = features.float().cpu().numpy()
    return original


def _compare(computed: NDArray[np.float32], wanted: NDArray[np.float32], where: str) -> None:
    if computed.shape != wanted.shape:
        raise BackboneError(
            f"The exported network gives features of another shape than PyTorch ({where}: "
            f"{computed.shape} instead of {wanted.shape})."
        )
    a, b = computed.astype(np.float64), wanted.astype(np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise BackboneError(f"The network's features are not finite numbers ({where}).")
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = float(((a * b).sum(axis=1) / np.maximum(lengths, 1e-30)).min())
    spread = float(np.sqrt(((b - b.mean(axis=0)) ** 2).mean()))
    spread = max(spread, LEAST_SPREAD * float(np.sqrt((b**2).mean())))
    difference = float(np.sqrt(((a - b) ** 2).mean())) / max(spread, 1e-30)
    if cosine < LEAST_COSINE or difference > MOST_DIFFERENCE:
        raise BackboneError(
            f"The exported network does not give the features that PyTorch gives ({where}: cosine "
            f"{cosine:.4f}, difference {difference:.2f} of the spread between images)."
        )
