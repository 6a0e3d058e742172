"""Pixels of tiles, against rasterio's own windows."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import fsspec
import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window, from_bounds

from foveate.aerial.address import TileAddress, View
from foveate.aerial.grid import Grid, TileKey
from foveate.aerial.header import raster_facts, taken_from
from foveate.aerial.raster import open_raster, read_tile, stretched
from foveate.errors import SourceError
from support.rasters import ALBERS, LEFT, TOP, UTM, key_at, noise, write_raster

GRID = Grid(UTM, 16, 1)
KEY = key_at(GRID, LEFT + 40, TOP - 40)
INSIDE = [TileKey(KEY.row + down, KEY.col + right) for down in (-1, 0, 1) for right in (-1, 0, 1)]


def window_of(
    path: str, grid: Grid, key: TileKey, bands: tuple[int, ...] = (1, 2, 3)
) -> np.ndarray:
    """The pixels of a tile as rasterio reads them."""
    with rasterio.open(path) as dataset:
        window = from_bounds(*grid.bounds(key), dataset.transform)
        assert window.width == grid.pixels
        return dataset.read(list(bands), window=window)


@pytest.mark.parametrize("key", INSIDE)
def test_a_tile_is_the_pixels_of_rasterios_window(tmp_path: Path, key: TileKey) -> None:
    path = write_raster(tmp_path / "a.tif", noise(4, 96))
    pixels, valid = read_tile(TileAddress(path, key, GRID))
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels.transpose(2, 0, 1), window_of(path, GRID, key))
    assert valid.all()


def test_bands_are_chosen(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(4, 96))
    pixels, _ = read_tile(TileAddress(path, KEY, GRID, View((4, 1, 1))))
    assert np.array_equal(pixels.transpose(2, 0, 1), window_of(path, GRID, KEY, (4, 1, 1)))
    with pytest.raises(OSError, match="has 4 bands, band 5 is wanted"):
        read_tile(TileAddress(path, KEY, GRID, View((5, 1, 1))))


@given(st.floats(-0.49, 0.49), st.floats(-0.49, 0.49))
def test_a_shift_of_less_than_half_a_pixel_changes_no_value(
    tmp_path_factory: pytest.TempPathFactory, x: float, y: float
) -> None:
    values = noise(3, 96)
    path = write_raster(tmp_path_factory.mktemp("r") / "a.tif", values, left=LEFT + x, top=TOP + y)
    pixels, _ = read_tile(TileAddress(path, KEY, GRID))
    left, _, _, top = GRID.bounds(KEY)
    col, row = round(left - LEFT), round(TOP - top)
    assert np.array_equal(pixels.transpose(2, 0, 1), values[:, row : row + 16, col : col + 16])


def test_half_a_tile_is_outside(tmp_path: Path) -> None:
    values = noise(3, 96)
    left, _, _, top = GRID.bounds(KEY)
    path = write_raster(tmp_path / "a.tif", values, left=left + 8, top=top - 4)
    pixels, valid = read_tile(TileAddress(path, KEY, GRID))
    assert valid.mean() == pytest.approx(0.5 * 0.75)
    assert not pixels[~valid].any()
    assert np.array_equal(pixels[4:, 8:].transpose(2, 0, 1), values[:, :12, :8])
    _, nothing = read_tile(TileAddress(path, TileKey(KEY.row + 99, KEY.col), GRID))
    assert not nothing.any()


@pytest.mark.parametrize("fine", [0.5, 2.0])
def test_other_sizes_of_pixels_are_resampled(tmp_path: Path, fine: float) -> None:
    """Checked on a ramp, whose value at any place is known."""
    y, x = np.mgrid[:128, :128] * fine
    path = write_raster(tmp_path / "a.tif", np.stack([x, y, x + y]).astype(np.float32), pixel=fine)
    raster = open_raster(path)
    values, valid = raster.read(GRID, GRID.bounds(KEY), (1, 2, 3))
    left, _, _, top = GRID.bounds(KEY)
    xs = left - LEFT + np.arange(16) + 0.5 - fine / 2
    ys = TOP - top + np.arange(16) + 0.5 - fine / 2
    assert valid.all()
    assert values[0] == pytest.approx(np.tile(xs, (16, 1)), abs=0.05)
    assert values[1] == pytest.approx(np.tile(ys[:, None], (1, 16)), abs=0.05)


def test_another_system_is_warped_as_gdal_does(tmp_path: Path) -> None:
    y, x = np.mgrid[:256, :256]
    soft = (127 + 60 * np.sin(x / 9) + 60 * np.cos(y / 7)).astype(np.uint8)
    path = write_raster(tmp_path / "a.tif", np.stack([soft] * 3))
    facts = raster_facts(path)
    grid = Grid(ALBERS, 32, 1)
    left, bottom, right, top = rasterio.warp.transform_bounds(UTM, ALBERS, *facts.bounds)
    key = key_at(grid, (left + right) / 2, (bottom + top) / 2)
    values, valid = open_raster(path).read(grid, grid.bounds(key), (1,))
    with (
        rasterio.open(path) as dataset,
        WarpedVRT(dataset, crs=ALBERS, resampling=Resampling.bilinear, tolerance=0) as vrt,
    ):
        window = from_bounds(*grid.bounds(key), vrt.transform)
        expected = vrt.read(1, window=window, out_shape=(32, 32), resampling=Resampling.bilinear)
    assert valid.all()
    assert np.abs(values[0].astype(float) - expected).mean() < 4, "within a fraction of a pixel"


def test_sixteen_bits_are_stretched(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(3, 96, "uint16"))
    pixels, _ = read_tile(TileAddress(path, KEY, GRID, View(stretch=(1000, 6100))))
    deep = window_of(path, GRID, KEY).astype(float)
    expected = np.clip(np.round((deep - 1000) / 20), 0, 255)
    assert np.abs(pixels.transpose(2, 0, 1) - expected).max() <= 1
    with pytest.raises(OSError, match="uint16 need a range"):
        read_tile(TileAddress(path, KEY, GRID))


def test_stretching() -> None:
    view = View(stretch=(10.0, 20.0))
    values = np.array([[[5.0, 10.0, 15.0, 20.0, 99.0, np.nan]]], np.float32)
    assert stretched(values, view).ravel().tolist() == [0, 0, 128, 255, 255, 0]
    same = np.array([[[0, 7, 255]]], np.uint8)
    assert stretched(same, View()) is same


def test_nodata_is_a_gap_only_in_all_bands(tmp_path: Path) -> None:
    values = noise(3, 96)
    row, col = (int(TOP - GRID.bounds(KEY)[3]), int(GRID.bounds(KEY)[0] - LEFT))
    values[:, row, col] = 0
    values[1, row + 1, col + 1] = 0
    path = write_raster(tmp_path / "a.tif", values, nodata=0)
    pixels, valid = read_tile(TileAddress(path, KEY, GRID))
    assert not valid[0, 0]
    assert valid.sum() == 16 * 16 - 1
    assert np.array_equal(pixels.transpose(2, 0, 1), window_of(path, GRID, KEY))
    assert raster_facts(path).gaps


def test_a_real_alpha_band_says_where_there_is_data(tmp_path: Path) -> None:
    values = noise(4, 96)
    values[3] = 255
    values[3, :, :48] = 0
    path = write_raster(tmp_path / "a.tif", values, alpha=4)
    facts = raster_facts(path)
    assert facts.gaps
    left, _, right, _ = GRID.bounds(KEY)
    _, valid = read_tile(TileAddress(path, KEY, GRID))
    cols = np.arange(left - LEFT, right - LEFT)
    assert np.array_equal(valid, np.tile(cols >= 48, (16, 1)))


def test_near_infrared_is_not_taken_for_alpha(tmp_path: Path) -> None:
    values = noise(4, 96)
    values[3, ::2] = 0
    path = write_raster(tmp_path / "a.tif", values, alpha=4)
    assert not raster_facts(path).gaps
    _, valid = read_tile(TileAddress(path, KEY, GRID))
    assert valid.all()


def test_naip_marks_near_infrared_as_alpha(shared_data: Path) -> None:
    for path in sorted((shared_data / "geo" / "naip_native").glob("*.tif")):
        with rasterio.open(path) as dataset:
            assert dataset.colorinterp[3].name == "alpha", "else this proves nothing"
        facts = raster_facts(str(path))
        assert not facts.gaps
        grid = Grid(facts.crs, 30, 0.6)
        left, bottom, right, top = facts.bounds
        _, valid = read_tile(
            TileAddress(str(path), key_at(grid, (left + right) / 2, (bottom + top) / 2), grid)
        )
        assert valid.all()


def test_years_of_one_place_line_up(shared_data: Path) -> None:
    """Five photographs whose own grids differ by up to 3 m give tiles of one place."""
    paths = sorted((shared_data / "geo" / "naip_5m").glob("*.tif"))
    grid = Grid("EPSG:26914", 1120, 5)
    key = key_at(grid, 488_000, 5_207_500)
    for path in paths:
        pixels, valid = read_tile(TileAddress(str(path), key, grid))
        assert valid.all()
        with rasterio.open(path) as dataset:
            window = from_bounds(*grid.bounds(key), dataset.transform)
            near = Window(round(window.col_off), round(window.row_off), 224, 224)
            expected = dataset.read([1, 2, 3], window=near)
        assert abs(window.col_off - near.col_off) * 5 <= 2.5
        assert abs(window.row_off - near.row_off) * 5 <= 2.5
        assert np.array_equal(pixels.transpose(2, 0, 1), expected)


def test_facts(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "m_1_20180716.tif", noise(4, (64, 96), "uint16"), pixel=5)
    facts = raster_facts(path)
    assert (facts.width, facts.height, facts.bands, facts.dtype) == (96, 64, 4, "uint16")
    assert facts.bounds == (LEFT, TOP - 320, LEFT + 480, TOP)
    assert facts.crs == UTM
    assert facts.pixel == pytest.approx(5)
    assert facts.taken == date(2018, 7, 16)
    assert not facts.gaps
    west, south, east, north = facts.geographic_bounds
    assert -99.001 < west < east < -98.98
    assert 46.9 < south < north < 47


def test_what_cannot_be_placed_gets_a_sentence(tmp_path: Path) -> None:
    nowhere = write_raster(tmp_path / "nowhere.tif", noise(3, 8), crs=None)
    with pytest.raises(SourceError, match="no coordinate reference system"):
        raster_facts(nowhere)
    far = write_raster(tmp_path / "far.tif", noise(3, 8), left=9e9, top=9e9)
    with pytest.raises(SourceError, match="outside of the area"):
        raster_facts(far)
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(SourceError, match="cannot be read as a raster"):
        raster_facts(str(tmp_path / "text.tif"))
    with pytest.raises(SourceError, match="is not there"):
        raster_facts(str(tmp_path / "no.tif"))
    broken = Path(write_raster(tmp_path / "broken.tif", noise(4, 512), alpha=4))
    broken.write_bytes(broken.read_bytes()[:100_000])
    with pytest.raises(SourceError, match="cannot be read as a raster"):
        raster_facts(str(broken))


def test_a_raster_behind_a_url(tmp_path: Path) -> None:
    path = Path(write_raster(tmp_path / "a.tif", noise(3, 96)))
    memory = fsspec.filesystem("memory")
    memory.pipe("/rasters/a.tif", path.read_bytes())
    try:
        there, _ = read_tile(TileAddress("memory://rasters/a.tif", KEY, GRID))
        here, _ = read_tile(TileAddress(str(path), KEY, GRID))
        assert np.array_equal(there, here)
        with pytest.raises(OSError, match="is not there"):
            read_tile(TileAddress("memory://rasters/no.tif", KEY, GRID))
    finally:
        memory.rm("/rasters", recursive=True)


def test_a_raster_that_is_replaced_is_opened_anew(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(3, 96))
    before, _ = read_tile(TileAddress(path, KEY, GRID))
    write_raster(tmp_path / "a.tif", noise(3, 97, seed=1))
    after, _ = read_tile(TileAddress(path, KEY, GRID))
    assert not np.array_equal(before, after)


@pytest.mark.parametrize(
    ("name", "tag", "taken"),
    [
        ("m_4709963_se_14_1_20180716.tif", "", date(2018, 7, 16)),
        ("a-2018-07-16.tif", "", date(2018, 7, 16)),
        ("/20180716/a.tif", "", None),
        ("a_20181340.tif", "", None),
        ("a_20180231_20180301.tif", "", date(2018, 3, 1)),
        ("a.tif", "2012:07:31 10:00:00", date(2012, 7, 31)),
        ("a_120180716.tif", "", None),
    ],
)
def test_when_it_was_taken(name: str, tag: str, taken: date | None) -> None:
    assert taken_from(name, tag) == taken
