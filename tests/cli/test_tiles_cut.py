"""`foveate tiles cut`, as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from foveate import cli
from foveate.aerial.index import read_index
from support.rasters import noise, write_raster


@pytest.fixture
def image(tmp_path: Path) -> str:
    return write_raster(tmp_path / "in" / "a_20180716.tif", noise(4, (96, 128)))


@pytest.fixture
def landcover(tmp_path: Path) -> str:
    codes = np.array([[21, 21, 41, 41], [82, 82, 41, 11], [82, 31, 31, 31]], np.uint8)
    return write_raster(tmp_path / "landcover.tif", codes, pixel=32)


def cut(*arguments: str | Path) -> int:
    return cli.run(["tiles", "cut", *map(str, arguments)])


def test_a_cut_says_what_there_is_and_what_was_left_out(
    image: str, landcover: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert cut(image, "--labels", landcover, "--size", "32m", "--out", out) == 0
    said = capsys.readouterr().out
    assert "Developed       2  18.2 %" in said
    assert "no label in the legend" in said
    assert "11 tiles of 32 m (32 × 32 pixels of 1 m) from 1 raster, 2018" in said
    assert f"Index   {out / 'metadata.parquet'}" in said
    assert "EPSG:32614 (WGS 84 / UTM zone 14N)" in said
    assert len(list(out.glob("Forest/*.png"))) == 3


def test_json_gives_all_counts(
    image: str, landcover: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "index.parquet"
    arguments = [image, "--labels", landcover, "--size", "32", "--out", out, "--balanced"]
    assert cut(*arguments, "--seed", "3", "--ndvi", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    seconds = said.pop("seconds")
    assert seconds >= 0
    assert said == {
        "out": str(out),
        "index": str(out),
        "tiles": 8,
        "written": 0,
        "labels": {"Developed": 2, "Cultivated": 2, "Forest": 2, "Barren": 2},
        "years": {"2018": 8},
        "left_out": {"unlabelled": 1, "not_chosen": 3},
        "rasters": 1,
        "grid": {"crs": "EPSG:32614", "size": 32.0, "pixel": 1.0},
        "area_km2": 8 * 0.001024,
        "stretch": None,
        "remarks": [],
    }
    assert all(tile.ndvi is not None for tile in read_index(str(out)).tiles)


def test_flags_reach_the_tiles(
    image: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "index.parquet"
    flags = ["--bands", "4,1,2", "--stretch", "10,200", "--pixel", "50cm", "--size", "32"]
    assert cut(image, *flags, "--out", out, "--limit", "3") == 0
    path = read_index(str(out)).tiles[0].path
    assert path.endswith("&size=32&pixel=0.5&bands=4,1,2&stretch=10,200")
    said = capsys.readouterr()
    assert "Values from 10 (black) to 200 (white)" in said.out
    assert "pixels of 1 m; tiles with pixels of 0.5 m" in said.err
    assert cut(image, *flags, "--out", out, "--quiet") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--size", "32 miles"], "‘32 miles’ is not a length"),
        (["--bands", "red"], "‘red’ does not name three bands"),
        (["--stretch", "5"], "‘5’ is not a range of values"),
        (["--size", "224m"], "smaller than a tile of 224 m"),
        (["--engine", "dask"], "There is no engine ‘dask’"),
        (["--format", "gif"], "choose png or jpeg"),
    ],
)
def test_wrong_flags_get_a_sentence(
    image: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    said: str,
) -> None:
    assert cut(image, "--size", "32m", *flags, "--out", tmp_path / "out.parquet") == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("Error: ")
    assert said in captured.err
    assert captured.err.count("\n") == 1


def test_without_the_extra_there_is_a_sentence(
    image: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("foveate.cli.shared.find_spec", lambda name: None)
    assert cut(image, "--out", tmp_path / "out") == 1
    assert "pip install 'foveate[aerial]'" in capsys.readouterr().err
