"""Predictions on tiles, put where they lie."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.aerial.address import TileAddress, View
from foveate.aerial.georeferenced import parse_keys, read_georeferenced
from foveate.aerial.grid import Grid, TileKey, parse_key
from foveate.aerial.index import Tile, write_index
from foveate.errors import SourceError
from foveate.predictions import write_predictions
from support.maps import GRID, predictions_of

places = st.builds(
    TileKey, st.integers(-999_999_999, 999_999_999), st.integers(-999_999_999, 999_999_999)
)
rasters = st.sampled_from(
    [
        *("/data/naip_20180716.tif", "https://host/a?b=c&tile=1.tif", "C:\\data\\2018.tif"),
        *("/data/?tile=r1c1&.tif", "m_4709963_se_14_1_20200831.tif", "/Länder/weiß.tif"),
    ]
)


def address(key: TileKey, raster: str = "naip_20180716.tif", grid: Grid = GRID) -> str:
    return str(TileAddress(raster, key, grid))


def written(path: Path, paths: list[str], **more: object) -> str:
    write_predictions(predictions_of(paths, [0] * len(paths), **more), path)
    return str(path)


@settings(max_examples=40)
@given(st.dictionaries(places, rasters, min_size=1, max_size=20))
def test_addresses_say_where_their_tiles_lie(
    tmp_path_factory: pytest.TempPathFactory, tiles: dict[TileKey, str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "addresses.parquet"
    written(path, [address(key, raster) for key, raster in tiles.items()])
    placed = read_georeferenced(str(path))
    assert [placed.key(number) for number in range(len(placed))] == list(tiles)
    assert placed.grid == GRID
    years = {"/data/naip_20180716.tif": 2018, "m_4709963_se_14_1_20200831.tif": 2020}
    assert list(placed.years) == [years.get(raster) for raster in tiles.values()]


@given(st.lists(st.text("rc-0123456789", max_size=14), min_size=1, max_size=5))
def test_keys_are_read_as_one_by_one(texts: list[str]) -> None:
    try:
        wanted = [parse_key(text) for text in texts]
    except ValueError:
        with pytest.raises(ValueError, match="does not name a tile"):
            parse_keys(texts)
        return
    rows, cols = parse_keys(texts)
    assert [TileKey(*pair) for pair in zip(rows.tolist(), cols.tolist(), strict=True)] == wanted


@settings(max_examples=40)
@given(st.lists(places, min_size=1, max_size=5))
def test_keys_that_were_written_are_read(keys: list[TileKey]) -> None:
    rows, cols = parse_keys([str(key) for key in keys])
    assert rows.tolist() == [key.row for key in keys]
    assert cols.tolist() == [key.col for key in keys]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_some_rows_of_some_years(tmp_path: Path, suffix: str) -> None:
    key, other = TileKey(5, 6), TileKey(-5, 7)
    paths = [address(key), address(key, "naip_20200716.tif"), address(other, "naip_20200716.tif")]
    path = written(
        tmp_path / f"p{suffix}", paths, known=["Developed", None, "x"], trained=[True, False, True]
    )
    with pytest.raises(SourceError, match=r"r000005c000006 2 times. .*2018, 2020 with --year"):
        read_georeferenced(path)
    placed = read_georeferenced(path, year=2020)
    assert len(placed) == 2
    assert placed.key(1) == other
    assert placed.predictions.known == (None, "x")
    assert placed.predictions.trained_on == (False, True)
    with pytest.raises(SourceError, match=r"no tile of 2019. Its years: 2018, 2020"):
        read_georeferenced(path, year=2019)
    part = placed.take([1])
    assert (part.key(0), part.years, part.predictions.paths) == (other, (2020,), (paths[2],))


def test_the_same_tile_twice_in_a_year(tmp_path: Path) -> None:
    keys = [TileKey(-3, -4), TileKey(9, 9), TileKey(-3, -4)]
    path = written(tmp_path / "p.parquet", [address(key, "no_year.tif") for key in keys])
    with pytest.raises(SourceError, match=r"tile r-00003c-00004 2 times\.$"):
        read_georeferenced(path)


def test_tiles_of_two_grids(tmp_path: Path) -> None:
    finer = Grid(GRID.crs, 112, 1)
    paths = [address(TileKey(1, 1)), address(TileKey(1, 1), grid=finer)]
    with pytest.raises(SourceError, match="tiles of 2 grids"):
        read_georeferenced(written(tmp_path / "p.parquet", paths))
    # Shown in other bands, it is still the same grid.
    infrared = str(TileAddress("b.tif", TileKey(2, 2), GRID, View((4, 1, 2), (0, 3000))))
    placed = read_georeferenced(written(tmp_path / "q.parquet", [paths[0], infrared]))
    assert placed.key(1) == TileKey(2, 2)


@pytest.mark.parametrize(
    "broken",
    [
        *("tile:///a.tif?tile=r1c2&crs=EPSG:26914&size=224", "tile:///a.tif", "tile://?tile=r1c1&"),
        "tile:///a.tif?tile=r1x2&crs=EPSG:26914&size=224&pixel=1&bands=1,2,3",
        "tile:///a.tif?tile=r1c2&crs=EPSG:26914&size=225.5&pixel=1&bands=1,2,3",
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_what_is_no_address(tmp_path: Path, broken: str, first: bool) -> None:
    good = address(TileKey(1, 2), "/a.tif")
    path = written(tmp_path / "p.parquet", [broken, good] if first else [good, broken])
    with pytest.raises(SourceError, match=r"cannot be mapped: .*(not the address|not name a tile)"):
        read_georeferenced(path)


def cut_tiles(folder: Path, keys: list[TileKey]) -> list[Tile]:
    tiles = [
        Tile(f"forest/{key}.png", key, label="forest", taken=date(2018, 7, 16)) for key in keys
    ]
    write_index(str(folder / "metadata.parquet"), GRID, tiles)
    return tiles


@pytest.mark.parametrize("given_index", [None, "folder", "file"])
def test_tiles_that_are_files(tmp_path: Path, given_index: str | None) -> None:
    keys = [TileKey(3, 1), TileKey(4, 1), TileKey(5, 9)]
    tiles = cut_tiles(tmp_path / "tiles", keys)
    folder = tmp_path / "tiles"
    paths = [str(folder / tile.path) for tile in reversed(tiles)]
    index = {None: None, "folder": folder, "file": folder / "metadata.parquet"}[given_index]
    path = written(tmp_path / "p.parquet", paths)
    placed = read_georeferenced(path, index=None if index is None else str(index))
    assert [placed.key(number) for number in range(3)] == keys[::-1]
    assert placed.years == (2018, 2018, 2018)
    assert placed.grid == GRID


def test_tiles_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = cut_tiles(tmp_path / "tiles", [TileKey(3, 1)])
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path / "p.parquet", [f"tiles/{tiles[0].path}"])
    assert read_georeferenced(path).key(0) == TileKey(3, 1)


def test_tiles_that_no_index_knows(tmp_path: Path) -> None:
    cut_tiles(tmp_path / "tiles", [TileKey(3, 1)])
    path = written(tmp_path / "p.parquet", [str(tmp_path / "tiles" / "forest" / "other.png")])
    with pytest.raises(SourceError, match=r"not in the index of tiles.*--index"):
        read_georeferenced(path)
    away = written(tmp_path / "q.parquet", [str(tmp_path / "a" / "b" / "c" / "d" / "x.png")])
    with pytest.raises(SourceError, match=r"Nothing says where.*--index"):
        read_georeferenced(away)
    with pytest.raises(SourceError, match="is not an index of tiles"):
        read_georeferenced(path, index=path)
    mixed = written(tmp_path / "r.parquet", [address(TileKey(1, 1)), "photo.jpg"])
    with pytest.raises(SourceError, match=r"--index"):
        read_georeferenced(mixed)


def test_a_folder_of_parts(tmp_path: Path) -> None:
    """As the Spark engine writes it."""
    folder = tmp_path / "scored.parquet"
    keys = [TileKey(row, col) for row in range(4) for col in range(5)]
    for part in range(4):
        chosen = keys[part::4]
        written(folder / f"part-{part}.parquet", [address(key) for key in chosen])
    names = [f"part-{part}.parquet" for part in range(4)]
    with pytest.raises(SourceError, match="not complete"):
        read_georeferenced(str(folder))
    (folder / "_SUCCESS").write_text(json.dumps({"parts": names}))
    placed = read_georeferenced(str(folder))
    assert {placed.key(number) for number in range(20)} == set(keys)


def test_no_predictions(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no predictions"):
        read_georeferenced(written(tmp_path / "p.parquet", []))
    with pytest.raises(SourceError, match="cannot be read as predictions"):
        read_georeferenced(str(tmp_path / "nowhere.parquet"))


@pytest.mark.slow
def test_a_million_tiles(tmp_path: Path) -> None:
    n, side = 1_000_000, 1000
    paths = [
        address(TileKey(0, 0), f"county_{part}_20180716.tif").replace(
            "r000000c000000", "r{0:06d}c{1:06d}"
        )
        for part in range(10)
    ]
    told = [paths[i % 10].format(*divmod(i, side)) for i in range(n)]
    placed = read_georeferenced(written(tmp_path / "p.parquet", told))
    assert (placed.rows * side + placed.cols == np.arange(n)).all()
