"""`foveate tiles map`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from foveate import cli
from foveate.predictions import write_predictions
from support.maps import GRID, LABELS, LEFT, TOP, blurred, named, patches, placed_of
from support.rasters import write_raster


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    truth = patches(24)
    known = named(truth)
    known[:3] = None
    said = blurred(truth, 0.2)
    said[5, 5] = -1
    trained = np.zeros(truth.shape, bool)
    trained[20:] = True
    path = tmp_path / "predictions.parquet"
    write_predictions(placed_of(said, known=known, trained=trained).predictions, path)
    return path


def run(*words: object) -> int:
    return cli.run(["tiles", "map", *map(str, words)])


def test_a_table_for_people(
    predictions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(predictions, "--out", tmp_path / "map") == 0
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert lines[0].split()[:3] == ["label", "tiles", "km²"]
    assert [line.split()[0] for line in lines[2:5]] == list(LABELS)
    assert "575 tiles of 224 m" in told.out
    assert "The smoothed map is better than the map as predicted" in told.out
    assert "96 were trained on; 24 lie beside a tile that was trained on" in told.out
    assert "Note: Tiles side by side are alike" in told.err
    made = {one.name for one in (tmp_path / "map").iterdir()}
    assert made == {
        *("classes.tif", "classes.tif.aux.xml", "classes_smoothed.tif"),
        *("classes_smoothed.tif.aux.xml", "confidence.tif", "tiles.parquet", "map.png", "map.html"),
    }
    assert "<title>predictions</title>" in (tmp_path / "map" / "map.html").read_text()


def test_json_for_programs(
    predictions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "map"
    assert run(predictions, "--out", out, "--year", 2018, "--json", "--quiet") == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    told = json.loads(printed.out)
    assert told["tiles"] == 575
    assert told["refused"] == 1
    assert told["after"]["accuracy"] > told["before"]["accuracy"]
    assert told["before"]["n"] == told["after"]["n"]
    assert set(told["seconds"]) == {"read", "map", "measure", "write"}
    with rasterio.open(told["files"]["classes"]) as raster:
        assert raster.shape == (24, 24)
    assert "predictions, 2018" in (out / "map.html").read_text()


def test_against_land_cover_with_other_votes(
    predictions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = np.array([21, 81, 41], np.uint8)[patches(24)]
    size = GRID.size
    raster = write_raster(
        tmp_path / "lc.tif",
        np.repeat(np.repeat(codes, 2, 0), 2, 1),
        left=LEFT * size,
        top=(TOP + 1) * size,
        pixel=size / 2,
        crs=GRID.crs,
    )
    words = ["--landcover", raster, "--legend", "nlcd-land-use", "--center-weight", 8, "--json"]
    assert run(predictions, "--out", tmp_path / "map", "--title", "<A county>", *words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["changed"] == 0
    assert told["difference"] == 0
    assert told["excluded"]["unlabelled"] == 0
    assert "lc.tif" in told["reference"]
    assert "&lt;A county&gt;" in (tmp_path / "map" / "map.html").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--center-weight", "-1"], "weight of the centre"),
        (["--year", "1999"], "no tile of 1999"),
        (["--landcover", "nowhere.tif"], "‘nowhere.tif’ is not there"),
        (["--landcover", "x.tif", "--legend", "none"], "There is no legend ‘none’"),
        (["--index", "nowhere"], ""),
    ],
)
def test_wrong_input_gets_a_sentence(
    predictions: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    sentence: str,
) -> None:
    code = run(predictions, "--out", tmp_path / "map", *words)
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    assert sentence in told.err
    # Tiles that say themselves where they lie need no index.
    assert (code == 0) == (not sentence)


def test_the_folder_is_a_file(
    predictions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(predictions, "--out", predictions) != 0
    assert "is a file; name a folder" in capsys.readouterr().err
    assert run(predictions, "--out", predictions / "below") != 0
    assert "a part of its path is a file" in capsys.readouterr().err
