"""From imagery to tiles: which, where exactly, with which labels, and what is refused."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.warp import transform, transform_bounds
from rasterio.windows import from_bounds

from foveate import files
from foveate.aerial.address import parse_address
from foveate.aerial.cutting.cutting import Cut, cut
from foveate.aerial.index import NAME, Tile, read_index
from foveate.aerial.raster import read_tile
from foveate.errors import SettingsError, SourceError
from support.rasters import ALBERS, LEFT, TOP, UTM, noise, write_areas, write_raster

SIZE = 32.0
X0, Y0 = 15_625 * SIZE, 162_500 * SIZE
"""LEFT and TOP, which are lines of the grid."""


@pytest.fixture
def image(tmp_path: Path) -> str:
    """128 m × 96 m at 1 m: four by three tiles."""
    return write_raster(tmp_path / "in" / "a_20180716.tif", noise(4, (96, 128)))


def landcover(folder: Path, drawing: str, pixel: float = SIZE) -> str:
    codes = np.array([[int(c) for c in line.split(",")] for line in drawing.split()], np.uint8)
    return write_raster(folder / "landcover.tif", codes, pixel=pixel)


GROUPS = "21,21,41,41 82,82,41,11 82,31,31,31"
"""Developed, Cultivated, Forest, Barren; one tile of water."""


def run(imagery: str | list[str], out: Path | str, **values: Any) -> Cut:
    return cut(imagery, out=str(out), **{"size": SIZE, "workers": 2} | values)


def tiles_of(done: Cut) -> tuple[Tile, ...]:
    return read_index(done.index).tiles


def test_the_grid_lies_as_these_tests_say() -> None:
    assert (X0, Y0) == (LEFT, TOP)


def test_positions_are_exact_to_the_pixel(image: str, tmp_path: Path) -> None:
    done = run(image, tmp_path / "out")
    assert done.tiles == done.written == 12
    assert done.left_out == {}
    with rasterio.open(image) as dataset:
        for tile in tiles_of(done):
            window = from_bounds(*done.grid.bounds(tile.key), dataset.transform)
            expected = dataset.read([1, 2, 3], window=window).transpose(1, 2, 0)
            assert np.array_equal(np.asarray(Image.open(tile.path)), expected)
            assert tile.source == image
            assert str(tile.taken) == "2018-07-16"


def test_the_index_alone_gives_the_same_pixels(image: str, tmp_path: Path) -> None:
    here = tiles_of(run(image, tmp_path / "out"))
    alone = run(image, tmp_path / "index.parquet")
    assert alone.out == alone.index
    assert alone.written == 0
    there = tiles_of(alone)
    for one, other in zip(here, there, strict=True):
        assert one.key == other.key
        assert np.array_equal(
            np.asarray(Image.open(one.path)), read_tile(parse_address(other.path))[0]
        )
    assert [path.name for path in tmp_path.iterdir() if path.suffix] == ["index.parquet"]


def test_nothing_is_decoded_where_there_are_no_gaps(
    image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: Any) -> None:
        raise AssertionError("a tile was read")

    monkeypatch.setattr("foveate.aerial.raster.Raster.read", read)
    assert run(image, tmp_path / "index.parquet").tiles == 12


def test_labels_are_folders_and_shares_are_noted(image: str, tmp_path: Path) -> None:
    done = run(image, tmp_path / "out", labels=landcover(tmp_path, GROUPS))
    assert done.labels == {"Developed": 2, "Cultivated": 3, "Forest": 3, "Barren": 3}
    assert done.left_out == {"unlabelled": 1}
    for tile in tiles_of(done):
        assert tile.share == 1
        assert Path(tile.path).parent.name == tile.label
        assert Path(tile.path).name == f"{tile.key}_2018.png"
    north_west = tiles_of(done)[0]
    assert north_west.label == "Developed"
    assert done.grid.bounds(north_west.key) == (X0, Y0 - SIZE, X0 + SIZE, Y0)


def test_names_of_labels_that_no_folder_can_have(image: str, tmp_path: Path) -> None:
    done = run(image, tmp_path / "out", labels=landcover(tmp_path, GROUPS), legend="nlcd")
    assert {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()} == {
        "Barren Land",
        "Cultivated Crops",
        "Deciduous Forest",
        "Developed, Open Space",
        "Open Water",
    }
    table = tmp_path / "legend.csv"
    rows = [f"{code},a/{code}: b?" for code in (21, 41, 82, 11, 31)]
    table.write_text("code,label\n" + "\n".join(rows))
    done = run(image, tmp_path / "odd", labels=landcover(tmp_path, GROUPS), legend=str(table))
    assert set(done.labels) == {f"a/{code}: b?" for code in (21, 41, 82, 11, 31)}
    assert all(Path(tile.path).is_file() for tile in tiles_of(done))
    assert (tmp_path / "odd" / "a-21- b-").is_dir()


def test_mixed_tiles_are_left_out(image: str, tmp_path: Path) -> None:
    fine = landcover(tmp_path, "21,41,41,41 41,41,21,21", pixel=SIZE / 2)
    shares = {0.5: 1, 0.75: 1, 0.8: 0}
    for least, count in shares.items():
        out = tmp_path / f"{least}.parquet"
        if count:
            done = run(image, out, labels=fine, min_share=least)
            assert done.labels == {"Forest": 1} | ({"Developed": 1} if least == 0.5 else {})
        else:
            with pytest.raises(SourceError, match=r"No tile is left .* too little of one label"):
                run(image, out, labels=fine, min_share=least)


def test_tiles_with_gaps_are_left_out(tmp_path: Path) -> None:
    values = noise(3, 96)
    values[:, :32, :16] = 0  # half of the first tile
    values[:, 32:35, 32:34] = 0  # 6 of 1,024 pixels
    path = write_raster(tmp_path / "a.tif", values, nodata=0)
    done = run(path, tmp_path / "out.parquet")
    assert done.tiles == 8
    assert done.left_out == {"nodata": 1}
    gaps = sorted(tile.nodata for tile in tiles_of(done))
    assert gaps[:7] == [0] * 7
    assert gaps[7] == pytest.approx(6 / 1024)
    assert run(path, tmp_path / "all.parquet", max_nodata=0.5).tiles == 9
    assert run(path, tmp_path / "none.parquet", max_nodata=0).tiles == 7


def test_tiles_over_the_edge_are_left_out(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(3, 96), left=LEFT + 8)
    done = run(path, tmp_path / "out.parquet")
    assert (done.tiles, done.left_out) == (6, {"nodata": 6})
    edges = run(path, tmp_path / "edges.parquet", max_nodata=0.25)
    assert edges.tiles == 9
    assert {tile.nodata for tile in tiles_of(edges)} == {0, 0.25}


def test_edges_askew_are_counted(tmp_path: Path) -> None:
    """A raster of another system: what is inside is not read, what is on its border is counted."""
    path = write_raster(tmp_path / "a.tif", noise(3, 256))
    done = run(path, tmp_path / "out.parquet", crs=ALBERS)
    index = read_index(done.index)
    assert index.grid.crs == ALBERS
    assert done.tiles >= 30
    for tile in index.tiles:
        _, valid = read_tile(parse_address(tile.path))
        assert 1 - valid.mean() == pytest.approx(tile.nodata, abs=1e-6)


def test_rasters_that_overlap_give_a_tile_once(tmp_path: Path) -> None:
    """The first that covers a tile wholly has it, else the one with the least nodata."""
    first = write_raster(tmp_path / "1_20180701.tif", noise(3, (32, 80), seed=1))
    second = write_raster(tmp_path / "2_20180702.tif", noise(3, (32, 96), seed=2))
    done = run([first, second], tmp_path / "out.parquet")
    assert done.left_out == {"overlap": 3}
    assert [Path(tile.source).name[0] for tile in tiles_of(done)] == ["1", "1", "2"]
    both = run([first, second], tmp_path / "loose.parquet", max_nodata=0.6)
    assert [Path(tile.source).name[0] for tile in tiles_of(both)] == ["1", "1", "2"]


def test_years_are_kept_apart_and_line_up(tmp_path: Path) -> None:
    for year in (2015, 2018):
        write_raster(
            tmp_path / "in" / f"a_{year}0701.tif",
            noise(3, 98, seed=year),
            left=LEFT - (year - 2016) / 5,
            top=TOP + 0.3,
        )
    done = run(str(tmp_path / "in"), tmp_path / "out")
    assert done.years == {2015: 9, 2018: 9}
    keys = Counter(tile.key for tile in tiles_of(done))
    assert set(keys.values()) == {2}
    assert len(list((tmp_path / "out" / "tiles").glob("*_2015.png"))) == 9


def test_balance_and_limits(image: str, tmp_path: Path) -> None:
    labels = landcover(tmp_path, GROUPS)
    done = run(image, tmp_path / "1.parquet", labels=labels, balanced=True)
    assert set(done.labels.values()) == {2}
    assert done.left_out == {"unlabelled": 1, "not_chosen": 3}
    assert run(image, tmp_path / "2.parquet", labels=labels, per_label=1).tiles == 4
    assert run(image, tmp_path / "3.parquet", limit=5).tiles == 5
    both = run(image, tmp_path / "4.parquet", labels=labels, balanced=True, limit=5)
    assert set(both.labels.values()) == {1}


def test_a_label_too_rare_to_balance_by_gets_a_remark(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(3, 256))
    codes = np.full((8, 8), 21, np.uint8)
    codes[0, 0] = 82
    labels = write_raster(tmp_path / "landcover.tif", codes, pixel=32)
    done = run(path, tmp_path / "out.parquet", labels=labels, balanced=True)
    assert done.labels == {"Developed": 1, "Cultivated": 1}
    assert "so few tiles that each got 1. --per-label" in done.remarks[0]


def test_the_same_seed_takes_the_same_tiles_and_a_grown_set_keeps_them(tmp_path: Path) -> None:
    small = write_raster(tmp_path / "1_20180701.tif", noise(3, (256, 256)))
    more = write_raster(tmp_path / "2_20180701.tif", noise(3, (256, 256)), left=LEFT + 256)

    def taken(name: str, imagery: list[str], **values: Any) -> set[str]:
        done = run(imagery, tmp_path / f"{name}.parquet", **values)
        return {str(tile.key) for tile in tiles_of(done)}

    before = taken("a", [small], limit=20)
    assert taken("b", [small], limit=20) == before
    assert taken("c", [small], limit=20, seed=1) != before
    assert before < taken("d", [small], limit=30)
    grown = taken("e", [small, more], limit=40)
    assert len(grown & before) >= 12, "of the first 20, about 18 are among the lowest 40 of 128"


def test_mean_vegetation(tmp_path: Path) -> None:
    values = np.full((4, 32, 64), 100, np.uint8)
    values[3, :, :32] = 200
    values[3, :, 32:] = 50
    values[:, :, 48:] = 0
    done = run(write_raster(tmp_path / "a.tif", values), tmp_path / "out.parquet", ndvi=True)
    green, bare = tiles_of(done)
    assert green.ndvi == pytest.approx(1 / 3)
    assert bare.ndvi == pytest.approx(-1 / 3 / 2), "0 where both bands are 0"
    assert (
        tiles_of(run(write_raster(tmp_path / "b.tif", values), tmp_path / "b.parquet"))[0].ndvi
        is None
    )


def test_sixteen_bits_get_a_stretch_that_is_reported(tmp_path: Path) -> None:
    values = noise(3, 96, "uint16")
    path = write_raster(tmp_path / "a.tif", values)
    done = run(path, tmp_path / "out")
    assert done.stretch == pytest.approx((0.02 * 20_000, 0.98 * 20_000), rel=0.1)
    alone = run(path, tmp_path / "index.parquet")
    assert alone.stretch == done.stretch
    assert parse_address(tiles_of(alone)[0].path).view.stretch == done.stretch
    assert read_index(alone.index).about["stretch"] == list(done.stretch or ())
    given = run(path, tmp_path / "given.parquet", stretch=(100, 200))
    assert parse_address(tiles_of(given)[0].path).view.stretch == (100, 200)
    eight = write_raster(tmp_path / "eight.tif", noise(3, 96), left=LEFT + 96)
    mixed = run([path, eight], tmp_path / "mixed.parquet")
    views = {parse_address(tile.path).view.stretch for tile in tiles_of(mixed)}
    assert views == {mixed.stretch, None}


def test_one_band_is_grey(tmp_path: Path) -> None:
    done = run(write_raster(tmp_path / "a.tif", noise(1, 96)), tmp_path / "out")
    pixels = np.asarray(Image.open(tiles_of(done)[0].path))
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


def test_jpeg(image: str, tmp_path: Path) -> None:
    done = run(image, tmp_path / "out", image_format="jpeg")
    with Image.open(tiles_of(done)[0].path) as image_file:
        assert image_file.format == "JPEG"
    with pytest.raises(SettingsError, match="choose png or jpeg"):
        run(image, tmp_path / "gif", image_format="gif")


def test_counties_become_blocks(image: str, tmp_path: Path) -> None:
    (border,), _ = transform(UTM, "EPSG:4326", [LEFT + 64], [TOP - 48])
    two = {"West": (-100, 46, border, 48), "East": (border, 46, -98, 48)}
    areas = write_areas(tmp_path / "areas.geojson", two)
    done = run(image, tmp_path / "out.parquet", blocks=areas)
    blocks = {tile.key.col: tile.block for tile in tiles_of(done)}
    assert [blocks[col] for col in sorted(blocks)] == ["West", "West", "East", "East"]


def test_a_start_that_was_killed_goes_on(image: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(image, out)
    (out / NAME).unlink()
    written = sorted((out / "tiles").iterdir())
    kept = written[0].stat().st_mtime_ns
    written[5].unlink()
    done = run(image, out)
    assert (done.tiles, done.written) == (12, 1)
    assert written[0].stat().st_mtime_ns == kept
    assert sorted((out / "tiles").iterdir()) == written


def test_other_settings_in_the_same_folder_get_a_sentence(image: str, tmp_path: Path) -> None:
    run(image, tmp_path / "out")
    with pytest.raises(SettingsError, match="cut otherwise \\(--max-nodata, --seed differ\\)"):
        run(image, tmp_path / "out", max_nodata=0.2, seed=3)
    other = write_raster(tmp_path / "b.tif", noise(3, 96))
    with pytest.raises(SettingsError, match="cut otherwise \\(the imagery"):
        run(other, tmp_path / "out")
    with pytest.raises(SettingsError, match="is not empty and holds no tiles"):
        run(image, tmp_path / "in")
    with pytest.raises(SettingsError, match="is a file; name a folder"):
        run(image, other)


def test_a_cut_that_was_refused_leaves_nothing_in_the_way(image: str, tmp_path: Path) -> None:
    labels = landcover(tmp_path, "77,21,41,41 41,41,21,21 21,21,21,21")
    with pytest.raises(SettingsError, match="has the code 77"):
        run(image, tmp_path / "out", labels=labels)
    assert not (tmp_path / "out").exists()
    with pytest.raises(SourceError, match="No tile is left"):
        run(image, tmp_path / "out", crs=ALBERS, max_nodata=0, size=96)
    assert run(image, tmp_path / "out").tiles == 12


def test_imagery_and_tiles_behind_urls(image: str, tmp_path: Path) -> None:
    files.write_anywhere("memory://imagery/a_20180716.tif", Path(image).read_bytes())
    try:
        for number, given in enumerate(("memory://imagery", "memory://imagery/*2018*.tif")):
            done = run(given, f"memory://tiles/{number}")
            assert done.tiles == 12
            assert {tile.source for tile in tiles_of(done)} == {"memory://imagery/a_20180716.tif"}
            assert files.exists(tiles_of(done)[0].path)
    finally:
        files.remove("memory://imagery")
        files.remove("memory://tiles")


def test_folders_globs_and_the_land_cover_beside(image: str, tmp_path: Path) -> None:
    folder = Path(image).parent
    labels = landcover(folder, GROUPS)
    (folder / "notes.txt").write_text("no raster")
    for number, given in enumerate(([str(folder)], [str(folder / "*.tif")], [image, str(folder)])):
        done = run(given, tmp_path / f"{number}.parquet", labels=labels)
        assert (done.rasters, done.tiles) == (1, 11)


def test_degrees_and_web_maps_get_a_true_grid(tmp_path: Path) -> None:
    for crs in ("EPSG:4326", "EPSG:3857"):
        left, _, right, top = transform_bounds(UTM, crs, LEFT, TOP - 200, LEFT + 200, TOP)
        path = write_raster(
            tmp_path / f"{crs[5:]}.tif", noise(3, 200), crs=crs, left=left, top=top,
            pixel=(right - left) / 200,
        )  # fmt: skip
        done = run(path, tmp_path / f"{crs[5:]}.parquet")
        assert done.grid.crs == UTM
        assert done.tiles > 10


def test_coarse_imagery_gets_a_remark(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(3, 96), pixel=5)
    said: list[str] = []
    done = run(path, tmp_path / "out.parquet", size=224, remark=said.append)
    assert list(done.remarks) == said
    assert "has pixels of 5 m" in said[0]
    flags = re.search(r"--pixel 5m --size 1120m", said[0])
    assert flags
    assert run(path, tmp_path / "own.parquet", size=160, pixel=5).remarks == ()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"labels": "FAR"}, "imagery and the land cover do not overlap.* 46.953° N 98.882° W"),
        ({"labels": "CODES"}, "has the code 77, which the legend ‘nlcd-groups’ does not know"),
        ({"bands": (1, 2, 5)}, "has 4 bands, but bands 1,2,5 are wanted"),
        ({"bands": (1, 2)}, "has three bands, counted from 1"),
        ({"bands": (0, 1, 2)}, "has three bands, counted from 1"),
        ({"ndvi": True, "nir": 5}, "has 4 bands, but bands 1,5 are wanted; --red and --nir"),
        ({"size": 224}, "128 m × 96 m, smaller than a tile of 224 m. .* --size 48m"),
        ({"size": 32.5}, "not a whole number of pixels"),
        (
            {"crs": "EPSG:27700"},
            "lies outside of the area that .*British National Grid.*EPSG:32614",
        ),
        ({"crs": "EPSG:4326"}, "not in metres.*EPSG:32614"),
        ({"crs": "EPSG:1"}, "no coordinate reference system ‘EPSG:1’"),
        ({"balanced": True}, "only where they have labels"),
        ({"per_label": 2}, "only where they have labels"),
        ({"min_share": 1.2}, "--min-share 1.2 is not a share"),
        ({"max_nodata": 1}, "--max-nodata 1 is not a share"),
        ({"limit": 0}, "--limit must be at least 1"),
        ({"stretch": (5, 5)}, "becomes black is below"),
        ({"legend": "corine"}, "no legend ‘corine’"),
    ],
)
def test_wrong_settings_get_a_sentence(
    image: str, tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    codes = np.full((4, 4), 77, np.uint8)
    if values.get("labels") == "FAR":
        values = values | {"labels": write_raster(tmp_path / "far.tif", codes, left=LEFT + 9000)}
    if values.get("labels") == "CODES":
        values = values | {"labels": write_raster(tmp_path / "codes.tif", codes, pixel=40)}
    with pytest.raises((SettingsError, SourceError), match=said):
        run(image, tmp_path / "out.parquet", **values)
    assert not (tmp_path / "out.parquet").exists()


def test_wrong_imagery_gets_a_sentence(image: str, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tif").write_text("nothing")
    nowhere = write_raster(tmp_path / "nowhere.tif", noise(3, 96), crs=None)
    for given, said in (
        (str(tmp_path / "empty"), "no raster in ‘.*empty’"),
        (str(tmp_path / "*.jp2"), "no raster in"),
        (str(tmp_path / "no.tif"), "is not there"),
        (str(tmp_path / "text.tif"), "cannot be read as a raster"),
        (nowhere, "no coordinate reference system"),
        ([], "no imagery"),
    ):
        with pytest.raises(SourceError, match=said):
            run(given, out)
    blank = write_raster(tmp_path / "blank.tif", np.zeros((3, 96, 96), np.uint8), nodata=0)
    with pytest.raises(SourceError, match="there is no data in the imagery"):
        run(blank, out)
    tiny = write_raster(tmp_path / "tiny.tif", noise(3, 8))
    assert "‘" + tiny in run([image, tiny], out).remarks[0]


def test_a_raster_that_breaks_off_gets_a_sentence(tmp_path: Path) -> None:
    path = Path(write_raster(tmp_path / "a.tif", noise(3, 512), tiled=True, compress="deflate"))
    path.write_bytes(path.read_bytes()[:200_000])
    with pytest.raises(SourceError, match="cannot be"):
        run(str(path), tmp_path / "out")


def test_imagery_and_legend_of_landfire(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "geo" / "landfire"
    done = run(
        str(folder / "sr_b4_20200829.tif"),
        tmp_path / "out",
        labels=str(folder / "storml_evt.tif"),
        legend=f"{folder / 'LF20_EVT_220.csv'}:EVT_PHYS",
        size=480,
        pixel=30,
    )
    assert done.labels["Conifer"] > 10
    assert done.stretch is not None


def test_five_years_of_naip(shared_data: Path, tmp_path: Path) -> None:
    done = run(
        str(shared_data / "geo" / "naip_5m"), tmp_path / "a.parquet", size=320, pixel=5, ndvi=True
    )
    assert set(done.years.values()) == {140}
    assert list(done.years) == [2009, 2012, 2015, 2018, 2020]
    ndvi = [tile.ndvi for tile in tiles_of(done)]
    assert all(value is not None and -1 < value < 1 for value in ndvi)
