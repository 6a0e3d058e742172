"""Labels of tiles from land cover: exact where it can be, close elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.warp import transform

from foveate.aerial.grid import Grid, TileKey
from foveate.aerial.landcover import check_codes, label_tiles
from foveate.aerial.legend import Legend
from foveate.aerial.legend_table import find_legend
from foveate.errors import SettingsError, SourceError
from support.rasters import ALBERS, LEFT, TOP, UTM, key_at, write_raster

LEGEND = Legend("letters", {1: "A", 2: "B", 3: "A", 9: ""}, nodata=frozenset({0}))
GRID = Grid(UTM, 100, 1)
KEY = key_at(GRID, LEFT + 1, TOP - 1)


def codes_like(drawing: str) -> np.ndarray:
    return np.array([[int(c) for c in line] for line in drawing.split()], np.uint8)


def test_shares_are_those_of_the_areas(tmp_path: Path) -> None:
    """Tiles of 100 m over pixels of 30 m: the fourth pixel counts with a third of its width."""
    path = write_raster(tmp_path / "lc.tif", codes_like("1112 1112 1112 2222"), pixel=30)
    cover = label_tiles(path, LEGEND, GRID, [KEY])
    assert cover.labels == ("A",)
    assert cover.shares[0] == pytest.approx(0.9 * 0.9)
    assert cover.covered[0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("drawing", "label", "share"),
    [
        ("12 32", "A", 0.5),  # two codes of one label come together; the first of the legend wins
        ("99 19", None, 0),  # most of it has no label
        ("19 12", "A", 0.5),
        ("00 01", None, 0),  # less than half is known
        ("01 10", "A", 0.5),  # shares are of the whole tile
    ],
)
def test_the_plurality(tmp_path: Path, drawing: str, label: str | None, share: float) -> None:
    path = write_raster(tmp_path / "lc.tif", codes_like(drawing), pixel=50)
    cover = label_tiles(path, LEGEND, GRID, [KEY])
    assert cover.labels == (label,)
    assert cover.shares[0] == pytest.approx(share)
    assert cover.unknown == {}


@given(seed=st.integers(0, 2**32 - 1), shift=st.floats(0, 99, allow_nan=False))
def test_areas_add_up_wherever_the_grid_lies(
    tmp_path_factory: pytest.TempPathFactory, seed: int, shift: float
) -> None:
    codes = np.random.default_rng(seed).integers(1, 4, (12, 12)).astype(np.uint8)
    folder = tmp_path_factory.mktemp("lc")
    path = write_raster(folder / "lc.tif", codes, pixel=30, left=LEFT - shift, top=TOP + shift)
    keys = [TileKey(KEY.row - row, KEY.col + col) for row in range(2) for col in range(2)]
    cover = label_tiles(path, LEGEND, GRID, keys)
    fine = codes.repeat(30, 0).repeat(30, 1)
    for key, label, share in zip(keys, cover.labels, cover.shares, strict=True):
        left, _, _, top = GRID.bounds(key)
        x, y = left - LEFT + shift, TOP + shift - top
        some = fine[round(y) : round(y) + 100, round(x) : round(x) + 100]
        of_a = np.isin(some, [1, 3]).mean()
        assert (share if label == "A" else 1 - share) == pytest.approx(of_a, abs=0.01)
    assert cover.covered == pytest.approx(1)


def test_another_system_gives_nearly_the_same(tmp_path: Path) -> None:
    """Stripes that follow the other system's own axes, against points asked one by one."""
    (x,), (y,) = transform(UTM, ALBERS, [LEFT], [TOP])
    codes = np.random.default_rng(0).integers(1, 4, (80, 80)).astype(np.uint8)
    path = write_raster(tmp_path / "lc.tif", codes, pixel=30, left=x - 900, top=y + 900, crs=ALBERS)
    keys = [TileKey(KEY.row - row, KEY.col + col) for row in range(5) for col in range(5)]
    cover = label_tiles(path, LEGEND, GRID, keys)
    for key, label, share in zip(keys, cover.labels, cover.shares, strict=True):
        left, _, _, top = GRID.bounds(key)
        xs, ys = np.meshgrid(left + np.arange(0.5, 100), top - np.arange(0.5, 100))
        u, v = transform(UTM, ALBERS, xs.ravel(), ys.ravel())
        cols = ((np.array(u) - (x - 900)) / 30).astype(int)
        rows = ((y + 900 - np.array(v)) / 30).astype(int)
        of_a = np.isin(codes[rows, cols], [1, 3]).mean()
        assert (share if label == "A" else 1 - share) == pytest.approx(of_a, abs=0.02)
    assert cover.covered == pytest.approx(1)


def test_order_of_the_keys_does_not_matter(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "lc.tif", codes_like("1212 2121 1221 2112"), pixel=60)
    keys = [TileKey(KEY.row - row, KEY.col + col) for row in range(2) for col in range(2)]
    there = label_tiles(path, LEGEND, GRID, keys)
    back = label_tiles(path, LEGEND, GRID, keys[::-1])
    assert there.labels == back.labels[::-1]
    assert there.shares == pytest.approx(back.shares[::-1])


@pytest.mark.parametrize("crs", [UTM, ALBERS])
def test_outside_nothing_is_known(tmp_path: Path, crs: str) -> None:
    path = write_raster(tmp_path / "lc.tif", codes_like("11 11"), pixel=30, crs=crs)
    cover = label_tiles(path, LEGEND, GRID, [TileKey(KEY.row + 50, KEY.col)])
    assert cover.labels == (None,)
    assert cover.covered[0] == 0
    assert cover.unknown == {}


def test_nodata_of_the_raster_is_no_code(tmp_path: Path) -> None:
    codes = np.array([[1, 32767], [1, 1]], np.int16)
    path = write_raster(tmp_path / "lc.tif", codes, pixel=50, nodata=32767)
    cover = label_tiles(path, LEGEND, GRID, [KEY])
    assert cover.labels == ("A",)
    assert cover.shares[0] == cover.covered[0] == pytest.approx(0.75)


def test_unknown_codes_are_named(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "lc.tif", codes_like("17 11"), pixel=50)
    cover = label_tiles(path, LEGEND, GRID, [KEY])
    assert cover.unknown == {7: 1}
    with pytest.raises(SettingsError, match="has the code 7, which the legend ‘letters’ does not"):
        check_codes(path, LEGEND, cover.unknown)
    check_codes(path, LEGEND, {})


def test_wrong_land_cover_gets_a_sentence(tmp_path: Path) -> None:
    three = write_raster(tmp_path / "three.tif", np.ones((3, 4, 4), np.uint8))
    with pytest.raises(SourceError, match="has 3 bands; land cover has one"):
        label_tiles(three, LEGEND, GRID, [KEY])
    nowhere = write_raster(tmp_path / "nowhere.tif", np.ones((4, 4), np.uint8), crs=None)
    with pytest.raises(SourceError, match="no coordinate reference system"):
        label_tiles(nowhere, LEGEND, GRID, [KEY])
    with pytest.raises(SourceError, match="is not there"):
        label_tiles(str(tmp_path / "no.tif"), LEGEND, GRID, [KEY])


def test_real_nlcd_in_its_own_system_and_in_utm(shared_data: Path) -> None:
    path = str(shared_data / "geo" / "nlcd" / "rhode_island_nlcd.tif")
    legend = find_legend("nlcd-groups")
    counts = []
    for crs in (ALBERS, "EPSG:32618"):
        grid = Grid(crs, 300, 1)
        (x,), (y,) = transform(ALBERS, crs, [1_870_000], [2_340_000])
        centre = key_at(grid, x, y)
        keys = [TileKey(centre.row + i, centre.col + j) for i in range(30) for j in range(30)]
        cover = label_tiles(path, legend, grid, keys)
        check_codes(path, legend, cover.unknown)
        counts.append(sum(cover.shares[n] for n, one in enumerate(cover.labels) if one == "Forest"))
    # The same 81 km² but for a turn of a few degrees.
    assert counts[0] == pytest.approx(counts[1], rel=0.05)
