"""The grid: positions, keys and systems."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.aerial.grid import (
    Grid,
    TileKey,
    crs_text,
    is_metric,
    metric_crs,
    parse_crs,
    parse_key,
    parse_length,
)
from foveate.errors import SettingsError
from support.rasters import key_at

UTM = "EPSG:32614"
KEYS = st.builds(TileKey, st.integers(-999_999_999, 999_999_999), st.integers(-9_999, 9_999))
GRIDS = st.builds(
    lambda pixel, pixels: Grid(UTM, pixel * pixels, pixel),
    st.sampled_from([0.25, 0.3, 0.6, 1.0, 5.0, 30.0]),
    st.integers(1, 1024),
)


@given(KEYS)
def test_a_key_reads_back(key: TileKey) -> None:
    assert parse_key(str(key)) == key


@pytest.mark.parametrize("text", ["", "r1", "c1r1", "r1c", "r1.5c2", "r0000000001c1"])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="does not name a tile"):
        parse_key(text)


@given(GRIDS, st.integers(-30_000, 30_000), st.integers(-30_000, 30_000))
def test_a_tile_holds_its_centre_and_covers_itself(grid: Grid, row: int, col: int) -> None:
    key = TileKey(row, col)
    assert key_at(grid, *grid.centre(key)) == key
    assert grid.covering(grid.bounds(key)) == (range(row, row + 1), range(col, col + 1))
    left, bottom, right, top = grid.bounds(key)
    assert math.isclose(right - left, grid.size, rel_tol=1e-6)
    assert math.isclose(top - bottom, grid.size, rel_tol=1e-6)
    assert grid.bounds(TileKey(row + 1, col + 1))[:2] == pytest.approx((right, top))


@given(GRIDS, st.floats(-1e7, 1e7), st.floats(-1e7, 1e7), st.floats(1, 1e4), st.floats(1, 1e4))
def test_what_covers_a_rectangle(grid: Grid, x: float, y: float, w: float, h: float) -> None:
    rows, cols = grid.covering((x, y, x + w, y + h))
    slack = 2e-6 * grid.size + 1e-6
    assert cols.start * grid.size <= x + slack
    assert cols.stop * grid.size >= x + w - slack
    assert rows.start * grid.size <= y + slack
    assert rows.stop * grid.size >= y + h - slack
    assert (cols.start + 1) * grid.size >= x - slack, "a column too many"
    assert (rows.stop - 1) * grid.size <= y + h + slack, "a row too many"


@pytest.mark.parametrize(
    ("size", "pixel"), [(224, 0.9), (0, 1), (-1, 1), (1, 2), (224, 0), (5000, 1), (224, -1)]
)
def test_a_grid_that_cannot_be(size: float, pixel: float) -> None:
    with pytest.raises(SettingsError, match="pixels"):
        Grid(UTM, size, pixel)


def test_pixels_and_area() -> None:
    grid = Grid(UTM, 134.4, 0.6)
    assert grid.pixels == 224
    assert grid.area == pytest.approx(0.01806336)


@pytest.mark.parametrize(
    ("text", "metres"),
    [("224m", 224), ("224", 224), ("0.6 m", 0.6), ("1km", 1000), ("60CM", 0.6), (" 5 m ", 5)],
)
def test_lengths(text: str, metres: float) -> None:
    assert parse_length(text) == pytest.approx(metres)


@pytest.mark.parametrize("text", ["", "m", "0m", "-5m", "5 miles", "1e3", "nan", "5,0m"])
def test_what_is_no_length(text: str) -> None:
    with pytest.raises(SettingsError, match="is not a length"):
        parse_length(text)


def test_systems() -> None:
    assert crs_text(parse_crs("EPSG:26914")) == "EPSG:26914"
    own = parse_crs("+proj=aea +lat_1=29.5 +lat_2=45.5 +lat_0=23 +lon_0=-96 +units=m")
    assert parse_crs(crs_text(own)) == own, "what has no code is kept whole"
    assert is_metric(parse_crs("EPSG:26914"))
    assert not is_metric(parse_crs("EPSG:4326")), "degrees"
    assert not is_metric(parse_crs("EPSG:2263")), "feet"
    with pytest.raises(SettingsError, match="no coordinate reference system ‘EPSG:0815’"):
        parse_crs("EPSG:0815")


@pytest.mark.parametrize(
    ("longitude", "latitude", "crs"),
    [(-99, 47, "EPSG:32614"), (-179.9, 1, "EPSG:32601"), (180, -1, "EPSG:32760")],
)
def test_zones(longitude: float, latitude: float, crs: str) -> None:
    assert metric_crs(longitude, latitude) == crs
