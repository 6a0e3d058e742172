"""The index reads back, here and in other programs."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely
from pyproj import CRS

from foveate import files
from foveate.aerial.grid import Grid, TileKey
from foveate.aerial.index import NAME, Tile, read_index, write_index
from foveate.errors import SourceError
from support.maps import outline
from support.rasters import UTM

GRID = Grid(UTM, 224, 1)
TILES = (
    Tile(
        path="Forest/r1.png",
        key=TileKey(23255, 2170),
        label="Forest",
        share=0.75,
        nodata=0.25,
        ndvi=-0.5,
        source="/data/naip_20180716.tif",
        taken=date(2018, 7, 16),
        block="Middlesex",
    ),
    Tile(path="tile:///a.tif?tile=r-00005c000007", key=TileKey(-5, 7)),
)


def test_an_index_reads_back(tmp_path: Path) -> None:
    path = str(tmp_path / NAME)
    assert write_index(path, GRID, TILES, {"seed": 7}) == 2
    for given in (path, str(tmp_path)):
        index = read_index(given)
        assert index.grid == GRID
        assert index.about == {"seed": 7}
        assert index.tiles[0].path == str(tmp_path / "Forest" / "r1.png"), "beside the index"
        assert index.tiles[1] == TILES[1]
        assert index.tiles[0].label == "Forest"
        assert index.tiles[0].share == 0.75
        assert index.tiles[0].taken == date(2018, 7, 16)
        assert index.tiles[0].block == "Middlesex"


def test_it_is_geoparquet(tmp_path: Path) -> None:
    path = tmp_path / NAME
    write_index(str(path), GRID, TILES)
    metadata = pq.read_schema(path).metadata
    geo = json.loads(metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    column = geo["columns"][geo["primary_column"]]
    assert column["encoding"] == "WKB"
    assert CRS.from_json_dict(column["crs"]) == CRS.from_user_input(UTM)
    table = pq.read_table(path)
    for one, tile in zip(shapely.from_wkb(table["geometry"].to_pylist()), TILES, strict=True):
        assert one.bounds == GRID.bounds(tile.key)
        assert one.exterior.is_ccw
        assert one.area == GRID.size**2
    assert table["x"].to_pylist() == [(tile.key.col + 0.5) * 224 for tile in TILES]
    assert table["size"].to_pylist() == [224, 224]


def test_other_programs_read_it(tmp_path: Path) -> None:
    path = tmp_path / NAME
    write_index(str(path), GRID, TILES)
    if "Parquet" not in pyogrio.list_drivers():
        pytest.skip("this build of pyogrio reads no Parquet")
    meta, _, shapes, columns = pyogrio.raw.read(path)
    assert CRS.from_user_input(meta["crs"]) == CRS.from_user_input(UTM)
    assert shapely.from_wkb(shapes)[0].bounds == GRID.bounds(TILES[0].key)
    label = dict(zip(meta["fields"], columns, strict=True))["label"]
    assert label[0] == "Forest"


def test_many_tiles_are_several_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foveate.aerial.index.ROWS", 10)
    path = tmp_path / NAME
    tiles = (Tile(f"{n}.png", TileKey(n, n)) for n in range(35))
    assert write_index(str(path), GRID, tiles) == 35
    assert pq.ParquetFile(path).num_row_groups == 4
    assert [tile.key.row for tile in read_index(str(path)).tiles] == list(range(35))


def test_behind_a_url() -> None:
    url = f"memory://index/{NAME}"
    try:
        write_index(url, GRID, TILES)
        assert read_index(url).tiles[0].path == "memory://index/Forest/r1.png"
    finally:
        files.remove("memory://index")


def test_another_table_gets_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"path": ["a"]}), path)
    for bad in (path, tmp_path / "no.parquet", tmp_path):
        with pytest.raises(SourceError, match="is not an index of tiles"):
            read_index(str(bad))


def test_a_square_is_wkb() -> None:
    shape = shapely.from_wkb(outline(GRID, TileKey(0, 0)))
    assert np.array_equal(
        shapely.get_coordinates(shape), [(0, 0), (224, 0), (224, 224), (0, 224), (0, 0)]
    )
