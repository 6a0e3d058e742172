"""Aerial: the whole chain on a mosaic of real aerial images whose labels are known.

`foveate tiles cut`, `train` on some blocks, `score` from the raster, `tiles map`; against the same
classifier on the plain folder of images that the mosaic was made of, with the same split.
"""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from rasterio.windows import from_bounds

from benchmarks.aerial_rasters import (
    CRS,
    GROUPS,
    LEFT,
    PATCH,
    SCENES,
    SIDE,
    TOP,
    Mosaic,
    make_mosaic,
)
from benchmarks.common import Bar, Result, foveate, scratch
from foveate.aerial.address import parse_address
from foveate.aerial.raster import read_tile
from foveate.predictions import read_predictions
from foveate.settings import Settings
from foveate.workflow.training import train_classifier

SPLITS = 5
CHECKED = 300


def main() -> Result:
    """The chain, and the three groups."""
    with scratch() as folder:
        mosaic = make_mosaic(folder)
        index, model, out = folder / "tiles.parquet", folder / "model.onnx", folder / "p.parquet"
        cut = foveate(
            *("tiles", "cut", mosaic.imagery, "--labels", mosaic.landcover),
            *("--legend", mosaic.legend, "--size", f"{SIDE}m", "--out", index, "--json"),
            cache=folder,
        ).json
        # A scene is a place of its own: its neighbours in the mosaic are none, so no buffer.
        blocks = ("--set", f"block_size={PATCH * SIDE}", "--set", "block_buffer=0")
        trained = foveate("train", index, "--out", model, *blocks, "--json", cache=folder).json
        foveate("score", model, index, "--out", out, "--json", cache=folder)
        mapped = foveate("tiles", "map", out, "--out", folder / "map", "--json", cache=folder).json
        predictions = read_predictions(out)
        new = ~np.array(predictions.trained_on)
        accuracy = 100 * float(predictions.right[new].mean())
        wrong = sum(
            label != _scene(mosaic, path).parent.name
            for path, label in zip(predictions.paths, predictions.known, strict=True)
        )
        plain = 100 * _plain(folder, mosaic, predictions.paths, new)
        moved = _moved(mosaic, predictions.paths)
        problems = _problems(folder / "map" / "classes.tif")
    groups, averages = _groups(by_block=False)
    apart, apart_averages = _groups(by_block=True)
    before, after = (100 * mapped[name]["accuracy"] for name in ("before", "after"))
    return Result(
        "Aerial: from a mosaic with known labels to a map",
        [
            f"{cut['tiles']:,} scenes of {SCENES.name} ({SIDE} × {SIDE} pixels, 21 labels) side by "
            f"side in a GeoTIFF of 1 m, in patches of {PATCH} × {PATCH} of a label; land cover of "
            "30 m in another system. Cut to an index, trained on some blocks (a block is a "
            f"patch), all scored from the raster; {int(new.sum())} tiles of other blocks are "
            f"tested on: {accuracy:.2f} % right, {plain:.2f} % where the same images are read as "
            "files, with the same split.",
            f"The map: {before:.2f} % before smoothing, {after:.2f} % after it "
            f"(n = {mapped['before']['n']:,}: tiles that touch none that was trained on). "
            f"By blocks {100 * trained['blocks']['accuracy_by_block']:.2f} %, by image "
            f"{100 * trained['blocks']['accuracy_by_image']:.2f} %.",
            f"Developed, cultivated, undeveloped: {SPLITS} seeded 75/25 splits of {SCENES.name}, "
            f"settings at their defaults: {groups.mean():.2f} ± {groups.std(ddof=1):.2f} %, mean "
            f"over the three labels {averages.mean():.2f} ± {averages.std(ddof=1):.2f} %. "
            "Scenes that follow one another often show the same place. Whole runs of "
            f"{PATCH**2} of them on one side (`--split block`): {apart.mean():.2f} ± "
            f"{apart.std(ddof=1):.2f} %, mean over the labels {apart_averages.mean():.2f} ± "
            f"{apart_averages.std(ddof=1):.2f} %. Believe that one.",
        ],
        [
            Bar("points lost to the plain folder", plain - accuracy, "", 1, at_least=False),
            Bar("tiles with another label than their scene", wrong, "", 0, at_least=False),
            Bar("tiles whose pixels are not those of their bounds", moved, "", 0, at_least=False),
            Bar("problems that GDAL has with the map", problems, "", 0, at_least=False),
            Bar("three groups, mean accuracy", float(groups.mean()), "%", 97, at_least=True),
        ],
        [
            ["split", "accuracy %", "mean over labels %", "by runs %", "mean over labels %"],
            *(
                [str(seed), *(f"{value:.2f}" for value in row)]
                for seed, row in enumerate(
                    zip(groups, averages, apart, apart_averages, strict=True)
                )
            ),
        ],
    )


def _scene(mosaic: Mosaic, path: str) -> Path:
    """The scene that a tile shows."""
    left, _, _, top = parse_address(path).grid.bounds(parse_address(path).key)
    return mosaic.scenes[round((left - LEFT) / SIDE), round((TOP - top) / SIDE)]


def _plain(folder: Path, mosaic: Mosaic, paths: tuple[str, ...], new: np.ndarray) -> float:
    """Accuracy on the same scenes as files, trained on the same others."""
    table = folder / "plain.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        for path, is_new in zip(paths, new, strict=True):
            scene = _scene(mosaic, path)
            writer.writerow([scene, scene.parent.name, "test" if is_new else "train"])
    done = foveate("train", table, "--out", folder / "plain.onnx", "--json", cache=folder / "plain")
    accuracy: float = done.json["accuracy"]
    return accuracy


def _moved(mosaic: Mosaic, paths: tuple[str, ...]) -> int:
    """Of some tiles, those that are not their scene, or not what rasterio reads at their bounds."""
    chosen = np.random.default_rng(0).choice(len(paths), CHECKED, replace=False)
    moved = 0
    with rasterio.open(mosaic.imagery) as dataset:
        for number in chosen:
            address = parse_address(paths[number])
            tile, _ = read_tile(address)
            window = from_bounds(*address.grid.bounds(address.key), dataset.transform)
            theirs = dataset.read(window=window).transpose(1, 2, 0)
            scene = np.asarray(Image.open(_scene(mosaic, paths[number])).convert("RGB"))
            moved += not (np.array_equal(tile, theirs) and np.array_equal(tile, scene))
    return moved


def _problems(path: Path) -> int:
    """What is wrong with the map in the eyes of GDAL: system, no-data value, colour table."""
    if shutil.which("gdalinfo"):
        said = subprocess.run(
            ["gdalinfo", "-json", path], check=True, capture_output=True, text=True
        )
        info = json.loads(said.stdout)
        band = info["bands"][0]
        return sum(
            [
                f'ID["EPSG",{CRS.removeprefix("EPSG:")}]' not in info["coordinateSystem"]["wkt"],
                band.get("noDataValue") != 0,
                len(band.get("colorTable", {}).get("entries", ())) < 22,
            ]
        )
    with rasterio.open(path) as dataset:
        return sum(
            [dataset.crs != CRS, dataset.nodata != 0, len(set(dataset.colormap(1).values())) < 22]
        )


def _groups(*, by_block: bool) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy and mean over labels, in %, for each split into the three groups."""
    accuracies, averages = [], []
    with scratch() as folder:
        table = folder / "groups.csv"
        with table.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "label", "x", "y", "block"])
            for label in sorted(SCENES.iterdir()):
                for number, path in enumerate(sorted(label.glob("*.jpg"))):
                    group = GROUPS.get(label.name, "developed")
                    block = f"{label.name} {number // PATCH**2}"
                    writer.writerow([path, group, number, 0, block])
        split = "block" if by_block else "image"
        for seed in range(SPLITS):
            training = train_classifier(table, Settings(seed=seed, split=split, block_buffer=0))
            accuracies.append(100 * training.evaluation.accuracy.value)
            averages.append(100 * training.evaluation.class_average_accuracy.value)
    return np.array(accuracies), np.array(averages)
