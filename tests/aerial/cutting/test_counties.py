"""Counties of tiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from foveate import files
from foveate.aerial.cutting.counties import Areas
from foveate.aerial.grid import Grid
from foveate.errors import SettingsError, SourceError
from support.rasters import LEFT, TOP, UTM, key_at, write_areas

GRID = Grid(UTM, 1000, 10)
WEST, EAST = {"West": (-99.5, 46, -99, 48)}, {"East": (-99, 46, -98.5, 48)}
"""The border is the meridian through LEFT."""


def test_the_centre_decides(tmp_path: Path) -> None:
    areas = Areas(write_areas(tmp_path / "areas.geojson", WEST | EAST), "NAME")
    places = [
        (LEFT - 1500, TOP),
        (LEFT + 1500, TOP),
        (LEFT + 90_000, TOP),
        (LEFT + 1500, TOP - 1e6),
    ]
    keys = [key_at(GRID, x, y) for x, y in places]
    assert areas.of_tiles(GRID, keys) == ["West", "East", None, None]
    assert areas.of_tiles(GRID, []) == []


def test_where_areas_overlap_the_first_has_it(tmp_path: Path) -> None:
    two = {"First": (-99, 46, -98, 48), "Second": (-99, 46, -98, 48)}
    areas = Areas(write_areas(tmp_path / "areas.geojson", two), "NAME")
    assert areas.of_tiles(GRID, [key_at(GRID, LEFT + 5000, TOP)]) == ["First"]


def test_behind_a_url(tmp_path: Path) -> None:
    path = Path(write_areas(tmp_path / "areas.geojson", EAST))
    files.write_anywhere("memory://areas/areas.geojson", path.read_bytes())
    try:
        areas = Areas("memory://areas/areas.geojson", "NAME")
        assert areas.of_tiles(GRID, [key_at(GRID, LEFT + 5000, TOP)]) == ["East"]
    finally:
        files.remove("memory://areas")


def test_wrong_files_get_a_sentence(tmp_path: Path) -> None:
    path = write_areas(tmp_path / "areas.geojson", EAST)
    with pytest.raises(SettingsError, match="no column ‘COUNTY’; its columns are NAME"):
        Areas(path, "COUNTY")
    (tmp_path / "text.gpkg").write_text("nothing")
    for name in ("text.gpkg", "no.gpkg"):
        with pytest.raises(SourceError, match=f"{name}’ cannot be read"):
            Areas(str(tmp_path / name), "NAME")
