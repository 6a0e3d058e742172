"""Are exported backbones the networks they are named after? ImageNet top-1 after export.

One photo of each of the 1,000 classes goes through foveate's own decode, resize and runtime, the
exported network at the resolution it was trained at, and the original last layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import DATA, Bar, Result
from foveate.evaluation import wilson

NAMES = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2", "mobilenet-v2")
LEAST = {
    "efficientnet-lite0": 0.85,
    "efficientnet-lite1": 0.85,
    "efficientnet-lite2": 0.85,
    "mobilenet-v2": 0.82,
}
"""Sample photos are clearer than the validation set, of which these networks name 75.1, 76.7, 77.6
and 71.9 % correctly. Wrong preprocessing costs more than ten points."""


def main() -> Result:
    """Export each network, and count."""
    paths = sorted((DATA / "imagenet_sample").iterdir())
    rows, bars = [], []
    for name in NAMES:
        resolution, top1, published = measure(name, paths)
        found = wilson(round(top1 * len(paths)), len(paths))
        interval = f"{100 * found.low:.1f} to {100 * found.high:.1f}, n = {found.n}"
        bars.append(Bar(f"{name}, top-1", 100 * top1, "%", 100 * LEAST[name], at_least=True))
        rows.append(
            [
                name,
                f"{resolution} px",
                f"{100 * top1:.1f} % ({interval})",
                f"{100 * published:.1f} %" if published else "–",
            ]
        )
        print(*rows[-1], flush=True)
    return Result(
        "Backbones after export",
        [
            "One photo of each ImageNet class through foveate's decode, resize and runtime, the "
            "exported network, and the original last layer. The published figures are those of "
            "ImageNet's 50,000 validation images, which are harder."
        ],
        bars,
        [["backbone", "resolution", "top-1, 95 % interval", "published"], *rows],
    )


def measure(name: str, paths: Sequence[Path]) -> tuple[int, float, float | None]:
    """Resolution, share of photos named correctly, and the published figure."""
    from foveate.backbones.add import export_proven
    from foveate.backbones.names import parse_name
    from foveate.backbones.network import build_network
    from foveate.backbones.weights import find_weights
    from foveate.image import Resize, open_image
    from foveate.runtime import open_network, usable_cores

    weights = find_weights(parse_name(name))
    network = build_network(parse_name(name), weights.state)
    opened = open_network(export_proven(network), resolution=network.resolution)
    resize = Resize(network.resolution)
    matrix, bias = (
        next(value.numpy() for value in weights.state.values() if tuple(value.shape) == shape)
        for shape in ((1000, network.dimension), (1000,))
    )

    def named(path: Path) -> int:
        pixels = open_image(path.read_bytes()).pixels(resize)
        features: NDArray[np.float32] = opened.run(pixels[None])[0]
        return int((matrix @ features + bias).argmax())

    with ThreadPoolExecutor(usable_cores()) as pool:
        found = list(pool.map(named, paths))
    share = sum(guess == index for index, guess in enumerate(found)) / len(paths)
    return network.resolution, share, weights.imagenet_top1
