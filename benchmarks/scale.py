"""30,000 files: flat memory, and a quick second training."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.common import DATA, Bar, Result, foveate, scratch

SOURCE = DATA / "eurosat_5k"
COPIES = 6
MAX_PEAK_MIB, MAX_SECONDS, MAX_GROWTH = 1.2 * 1024, 20.0, 1.1


def main() -> Result:
    """Make the files, featurize half and all of them, train twice."""
    with scratch() as folder:
        images = folder / "images"
        _make(images)
        half = foveate(
            "featurize",
            images,
            "--out",
            folder / "half.parquet",
            "--limit",
            15_000,
            "--json",
            cache=folder / "half",
        )
        cache = folder / "cache"
        every = foveate("featurize", images, "--out", folder / "all.parquet", "--json", cache=cache)
        first = foveate("train", images, "--out", folder / "m.onnx", "--json", cache=cache)
        second = foveate("train", images, "--out", folder / "m.onnx", "--json", cache=cache)
    result = second.json
    print(result["seconds"], result["duplicates"])
    return Result(
        "30,000 files",
        [
            f"Made from {SOURCE.name} by shifts of up to 3 pixels and re-encoding, {COPIES} each.",
            f"featurize: {every.json['images_per_second']} images/s; "
            f"second train by stage, seconds: {result['seconds']}; C = {result['c']}, "
            f"{result['n_train']} to train, {result['n_test']} to test, "
            f"accuracy {result['accuracy']:.3f}.",
        ],
        [
            Bar("featurize: peak memory", every.peak_mib, "MiB", MAX_PEAK_MIB, at_least=False),
            Bar(
                "train: peak memory",
                max(first.peak_mib, second.peak_mib),
                "MiB",
                MAX_PEAK_MIB,
                at_least=False,
            ),
            Bar(
                "featurize: peak of 30,000 over that of 15,000",
                every.peak_mib / half.peak_mib,
                "×",
                MAX_GROWTH,
                at_least=False,
            ),
            Bar("second train, features cached", second.seconds, "s", MAX_SECONDS, at_least=False),
        ],
        [
            ["", "seconds", "peak MiB"],
            ["featurize 15,000", f"{half.seconds:.1f}", f"{half.peak_mib:.0f}"],
            ["featurize 30,000", f"{every.seconds:.1f}", f"{every.peak_mib:.0f}"],
            ["train", f"{first.seconds:.1f}", f"{first.peak_mib:.0f}"],
            ["second train", f"{second.seconds:.1f}", f"{second.peak_mib:.0f}"],
        ],
    )


def _make(folder: Path) -> None:
    with ProcessPoolExecutor() as pool:
        list(
            pool.map(
                _vary,
                *zip(*((path, folder) for path in sorted(SOURCE.rglob("*.jpg"))), strict=True),
                chunksize=64,
            )
        )


def _vary(path: Path, folder: Path) -> None:
    pixels = np.asarray(Image.open(path).convert("RGB"))
    rng = np.random.default_rng(int(path.stem.split("_")[-1]))
    target = folder / path.parent.name
    target.mkdir(parents=True, exist_ok=True)
    for copy in range(COPIES):
        shift = rng.integers(-3, 4, 2) if copy else (0, 0)
        padded = np.pad(pixels, ((3, 3), (3, 3), (0, 0)), mode="reflect")
        top, left = 3 + shift[0], 3 + shift[1]
        moved = padded[top : top + pixels.shape[0], left : left + pixels.shape[1]]
        quality = int(rng.integers(75, 96))
        Image.fromarray(moved).save(target / f"{path.stem}_{copy}.jpg", quality=quality)
