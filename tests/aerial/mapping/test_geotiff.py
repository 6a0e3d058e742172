"""Rasters of a map, read back by rasterio and by GDAL's own program."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pyproj import CRS

from foveate.aerial.grid import Grid
from foveate.aerial.legend import colours_of
from foveate.aerial.mapping.geotiff import classes_tiff, confidence_tiff, names_beside
from foveate.aerial.mapping.tilemap import TileMap, tile_map
from foveate.errors import SettingsError
from support.maps import GRID, LABELS, patches, placed_of

COLOURS = colours_of(LABELS)
ALBERS = "EPSG:5070"


def drawn(grid: Grid | None = None) -> TileMap:
    classes = patches(40)
    classes[:3, :5] = -9
    chances = np.random.default_rng(3).uniform(0.4, 1, classes.shape)
    return tile_map(placed_of(classes, confidence=chances, **({"grid": grid} if grid else {})))


@pytest.mark.parametrize("grid", [None, Grid(ALBERS, 448, 2)])
def test_what_rasterio_reads_back(tmp_path: Path, grid: Grid | None) -> None:
    tiles = drawn(grid=grid)
    (tmp_path / "classes.tif").write_bytes(classes_tiff(tiles, COLOURS))
    (tmp_path / "confidence.tif").write_bytes(confidence_tiff(tiles))
    with rasterio.open(tmp_path / "classes.tif") as raster:
        assert CRS.from_wkt(raster.crs.to_wkt()).equals(CRS(tiles.grid.crs))
        assert (raster.read(1) == tiles.classes + 1).all()
        assert raster.dtypes == ("uint8",)
        assert raster.nodata == 0
        assert tuple(raster.bounds) == tiles.bounds
        assert raster.transform[:6] == tiles.transform
        table = raster.colormap(1)
        assert [table[k + 1][:3] for k in range(len(LABELS))] == COLOURS
        assert table[0][3] == 0  # nothing is shown where there is no tile
        assert raster.tags(1) == {f"LABEL_{k + 1}": label for k, label in enumerate(LABELS)}
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        # A point in the middle of a tile has the class of that tile.
        key = tiles.key(20, 30)
        value = next(raster.sample([tiles.grid.centre(key)]))[0]
        assert value - 1 == tiles.at([key])[0]
    with rasterio.open(tmp_path / "confidence.tif") as raster:
        assert raster.dtypes == ("float32",)
        assert np.isnan(raster.nodata)
        np.testing.assert_array_equal(raster.read(1), tiles.confidence)


def test_a_large_map_has_overviews(tmp_path: Path) -> None:
    classes = patches(1100).astype(np.int16)
    tiles = TileMap(GRID, 9000, 100, LABELS, classes, np.ones(classes.shape, np.float32))
    (tmp_path / "classes.tif").write_bytes(classes_tiff(tiles, COLOURS))
    with rasterio.open(tmp_path / "classes.tif") as raster:
        assert raster.overviews(1)
        assert raster.block_shapes == [(512, 512)]
        # No mixture of labels: an overview shows labels that are there.
        small = raster.read(1, out_shape=(275, 275))
    assert set(np.unique(small)) <= {0, 1, 2, 3}


@pytest.fixture
def told(tmp_path: Path) -> dict[str, Any]:
    """What `gdalinfo -json` says, by file."""
    program = shutil.which("gdalinfo")
    if program is None:
        pytest.skip("gdalinfo is not installed (Debian: apt-get install gdal-bin)")
    tiles = drawn()
    (tmp_path / "classes.tif").write_bytes(classes_tiff(tiles, COLOURS))
    (tmp_path / "classes.tif.aux.xml").write_bytes(names_beside(LABELS, COLOURS))
    (tmp_path / "confidence.tif").write_bytes(confidence_tiff(tiles))
    return {
        name: json.loads(
            subprocess.run(
                [program, "-json", str(tmp_path / f"{name}.tif")],
                check=True,
                capture_output=True,
                env={"PATH": "/usr/bin:/bin"},
            ).stdout
        )
        for name in ("classes", "confidence")
    }


def test_what_gdal_itself_says(told: dict[str, Any]) -> None:
    tiles = drawn()
    classes = told["classes"]
    assert CRS.from_wkt(classes["coordinateSystem"]["wkt"]).to_epsg() == 26914
    assert classes["size"] == [40, 40]
    a, b, c, d, e, f = tiles.transform
    assert classes["geoTransform"] == [c, a, b, f, d, e]
    assert classes["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"
    band = classes["bands"][0]
    assert band["type"] == "Byte"
    assert band["noDataValue"] == 0
    assert band["colorInterpretation"] == "Palette"
    entries = band["colorTable"]["entries"]
    assert [tuple(entry[:3]) for entry in entries[1:4]] == COLOURS
    assert band["metadata"][""]["LABEL_2"] == LABELS[1]
    # From the file beside it.
    rows = classes["rat"]["row"]
    assert [row["f"][:2] for row in rows] == [[k + 1, name] for k, name in enumerate(LABELS)]
    band = told["confidence"]["bands"][0]
    assert (band["type"], str(band["noDataValue"]).lower()) == ("Float32", "nan")


def test_names_that_xml_has_other_uses_for(tmp_path: Path) -> None:
    from xml.etree import ElementTree

    labels = ("<b>&", "Ärger", "line\nbreak")
    tree = ElementTree.fromstring(names_beside(labels, COLOURS))
    names = [one.text for one in tree.iter("Category")]
    assert names == ["no tile", "<b>&", "Ärger", "line\ufffdbreak"]
    tiles = tile_map(placed_of([[0, 1, 2]], labels=labels))
    (tmp_path / "classes.tif").write_bytes(classes_tiff(tiles, COLOURS))
    with rasterio.open(tmp_path / "classes.tif") as raster:
        assert raster.tags(1)["LABEL_1"] == "<b>&"
        assert raster.tags(1)["LABEL_2"] == "Ärger"


def test_more_labels_than_values() -> None:
    labels = tuple(f"label {number}" for number in range(256))
    tiles = tile_map(placed_of([[0, 255]], labels=labels))
    with pytest.raises(SettingsError, match="256 labels"):
        classes_tiff(tiles, colours_of(labels))
    most = tile_map(placed_of([[0, 254]], labels=labels[:255]))
    data = classes_tiff(most, colours_of(labels[:255]))
    with rasterio.MemoryFile(data) as file, file.open() as raster:
        assert raster.read(1).tolist() == [[1, 255]]
