"""Aerial: a large raster cut and scored, against tiles as files and against TorchGeo."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.aerial_rasters import SCENES
from benchmarks.common import Bar, Result, foveate, median, run, scratch

SIDE = 20_000
TILE = 224
ROUNDS = 3
THEIRS = 1_000
"""Tiles that TorchGeo does, in a part of the raster: it takes its time."""


def main() -> Result:
    """Cut and score, in turns."""
    with scratch() as folder:
        raster = folder / "imagery" / "large.tif"
        # Elsewhere, because a process that is started counts the memory of the one that starts it.
        run(sys.executable, "-m", "benchmarks.aerial_rasters", raster, SIDE)
        model = folder / "model.onnx"
        foveate("train", SCENES, "--out", model, "--json", cache=folder / "train")
        common = ("tiles", "cut", raster, "--size", f"{TILE}m", "--json")
        indexed = foveate(*common, "--out", folder / "tiles.parquet", cache=folder / "cut")
        written = foveate(*common, "--out", folder / "png", cache=folder / "cut")
        from_raster, from_files, peaks = [], [], []
        theirs, tuned = [], []
        for number in range(ROUNDS):  # in turns: the machine's speed drifts
            for name, source, rates in (
                ("raster", folder / "tiles.parquet", from_raster),
                ("png", folder / "png", from_files),
            ):
                out = folder / f"{name}-{number}.parquet"
                done = foveate(
                    "score", model, source, "--out", out, "--json", cache=folder / out.stem
                )
                rates.append(done.json["images_per_second"])
                peaks.append(done.peak_mib if name == "raster" else 0)
            for better, rates in ((False, theirs), (True, tuned)):
                rates.append(_torchgeo(raster.parent, better=better))
        tiles = indexed.json["tiles"]
        megabytes = raster.stat().st_size / 2**20
    shares = [100 * a / b for a, b in zip(from_raster, from_files, strict=True)]
    faster = [a / b for a, b in zip(from_raster, theirs, strict=True)]
    return Result(
        "Aerial: a raster of 20,000 × 20,000 pixels",
        [
            f"{tiles:,} tiles of {TILE} m at 1 m; a GeoTIFF of {megabytes:,.0f} MiB (deflate, "
            f"blocks of 512). The index was cut in {indexed.seconds:.1f} s, all tiles were written "
            f"as PNG in {written.seconds:.0f} s. images/s, {ROUNDS} rounds in turns: from the "
            f"raster {_shown(from_raster)}; from PNG {_shown(from_files)}; TorchGeo (grid sampler, "
            f"two workers, PyTorch eager, the same network and weights, {THEIRS:,} tiles) "
            f"{_shown(theirs)}, with channels last and bfloat16 {_shown(tuned)}.",
            f"Peak memory: index {indexed.peak_mib:,.0f} MiB, PNG {written.peak_mib:,.0f}, scoring "
            f"{max(peaks):,.0f}. "
            "Start-up is in neither rate. TorchGeo's is of its loop over the raster, from the "
            "second batch on.",
        ],
        [
            Bar(
                "peak memory of cutting and scoring",
                max(*peaks, indexed.peak_mib, written.peak_mib) / 1024,
                "GiB",
                1.5,
                at_least=False,
            ),
            Bar("rate from the raster over that from PNG", median(shares), "%", 80, at_least=True),
            Bar("rate over TorchGeo", median(faster), "×", 3, at_least=True),
        ],
    )


def _torchgeo(folder: Path, *, better: bool) -> float:
    done = run(sys.executable, "-m", "benchmarks.race_torchgeo", folder, TILE, THEIRS, int(better))
    rate: float = json.loads(done.stdout.strip().splitlines()[-1])["images_per_second"]
    return rate


def _shown(rates: list[float]) -> str:
    return ", ".join(f"{rate:.0f}" for rate in rates)
