"""Rasters for the benchmarks, laid out from real aerial images whose labels are known."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import Resampling
from rasterio.transform import from_origin
from rasterio.warp import calculate_default_transform, reproject
from rasterio.windows import Window

from benchmarks.common import DATA

SCENES = DATA / "ucmerced"
SIDE = 256
"""Pixels of a scene; 44 of the 2,100 have another size and are left out."""

PATCH = 5
"""Scenes of a label that lie together, a side of a square: a patch."""

ACROSS = 10
"""Patches from west to east."""

CRS = "EPSG:26914"
LEFT, TOP = 512_000, 5_222_400
"""Multiples of a patch, so that blocks of the same size are patches."""

LABEL_CRS, LABEL_PIXEL = "EPSG:5070", 30
GROUPS = {
    "agricultural": "cultivated",
    "beach": "undeveloped",
    "chaparral": "undeveloped",
    "forest": "undeveloped",
    "river": "undeveloped",
}
"""The three land-use groups; whatever is not named here is developed."""


@dataclass(frozen=True)
class Mosaic:
    """A raster of scenes, one beside the other, 1 m a pixel.

    Attributes:
        imagery: the GeoTIFF.
        landcover: codes of its labels, in another system.
        legend: what the codes mean, a CSV file.
        scenes: (column, row) from the upper left corner → the scene that lies there.
    """

    imagery: Path
    landcover: Path
    legend: Path
    scenes: dict[tuple[int, int], Path]


def scenes() -> list[Path]:
    """All scenes of the usual size."""
    found = sorted(SCENES.glob("*/*.jpg"))
    return [path for path in found if Image.open(path).size == (SIDE, SIDE)]


def make_mosaic(folder: Path, *, seed: int = 0) -> Mosaic:
    """Lay out all scenes in patches of one label, and the land cover that belongs to them."""
    rng = np.random.default_rng(seed)
    by_label: dict[str, list[Path]] = defaultdict(list)
    for path in scenes():
        by_label[path.parent.name].append(path)
    patches = [
        paths[start : start + PATCH**2]
        for paths in by_label.values()
        for start in range(0, len(paths), PATCH**2)
    ]
    patches = [patches[i] for i in rng.permutation(len(patches))]
    where = {
        (n % ACROSS * PATCH + k % PATCH, n // ACROSS * PATCH + k // PATCH): path
        for n, patch in enumerate(patches)
        for k, path in enumerate(patch)
    }
    columns, rows = ACROSS * PATCH, -(-len(patches) // ACROSS) * PATCH
    labels = sorted(by_label)
    codes = np.zeros((rows, columns), np.uint8)
    with rasterio.open(folder / "mosaic.tif", "w", **_profile(columns * SIDE, rows * SIDE)) as out:
        for (column, row), path in where.items():
            codes[row, column] = labels.index(path.parent.name) + 1
            pixels = np.asarray(Image.open(path).convert("RGB"))
            out.write(
                pixels.transpose(2, 0, 1), window=Window(column * SIDE, row * SIDE, SIDE, SIDE)
            )
    (folder / "legend.csv").write_text(
        "code,label\n" + "".join(f"{i},{label}\n" for i, label in enumerate(labels, start=1))
    )
    _write_landcover(folder / "landcover.tif", codes)
    return Mosaic(folder / "mosaic.tif", folder / "landcover.tif", folder / "legend.csv", where)


def make_large(path: Path, side: int, *, seed: int = 0) -> Path:
    """A raster of so many pixels a side, of scenes again and again."""
    rng = np.random.default_rng(seed)
    pictures = [np.asarray(Image.open(scene).convert("RGB")) for scene in scenes()]
    across = -(-side // SIDE)
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", **_profile(side, side)) as out:
        for row in range(across):
            chosen = rng.integers(len(pictures), size=across)
            band = np.concatenate([pictures[i] for i in chosen], axis=1)[:, :side]
            height = min(SIDE, side - row * SIDE)
            out.write(band[:height].transpose(2, 0, 1), window=Window(0, row * SIDE, side, height))
    return path


def _profile(width: int, height: int) -> dict[str, object]:
    """A GeoTIFF as agencies hand them out: tiled, compressed without loss."""
    return {
        "driver": "GTiff",
        "width": width,
        "height": height,
        "count": 3,
        "dtype": "uint8",
        "crs": CRS,
        "transform": from_origin(LEFT, TOP, 1, 1),
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "deflate",
        "predictor": 2,
        "photometric": "RGB",
        "bigtiff": "IF_SAFER",
    }


def _write_landcover(path: Path, codes: NDArray[np.uint8]) -> None:
    """Codes of the scenes, warped as a national raster would lie there."""
    rows, columns = codes.shape
    transform = from_origin(LEFT, TOP, SIDE, SIDE)
    bounds = LEFT, TOP - rows * SIDE, LEFT + columns * SIDE, TOP
    there, width, height = calculate_default_transform(
        CRS, LABEL_CRS, columns, rows, *bounds, resolution=LABEL_PIXEL
    )
    warped = np.zeros((height, width), np.uint8)
    reproject(
        codes,
        warped,
        src_transform=transform,
        src_crs=CRS,
        dst_transform=there,
        dst_crs=LABEL_CRS,
        resampling=Resampling.nearest,
    )
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=height,
        count=1,
        dtype="uint8",
        crs=LABEL_CRS,
        transform=there,
        nodata=0,
        compress="deflate",
    ) as out:
        out.write(warped, 1)


if __name__ == "__main__":
    make_large(Path(sys.argv[1]), int(sys.argv[2]))
