"""Addresses of tiles read back, whatever the raster is called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.aerial.address import TileAddress, View, is_address, parse_address
from foveate.aerial.grid import Grid, TileKey, crs_text, parse_crs

OWN = crs_text(parse_crs("+proj=aea +lat_1=29.5 +lat_2=45.5 +lat_0=23 +lon_0=-96 +units=m"))
RASTERS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.sampled_from(
        [
            "/data/a.tif",
            "s3://bucket/a b.tif",
            "/ü?tile=r1c1&crs=x.tif",
            "https://h/a.tif?sig=1%2F2",
        ]
    ),
)
VIEWS = st.builds(
    View,
    st.tuples(*[st.integers(1, 20)] * 3),
    st.none() | st.tuples(st.integers(-1000, 1000), st.integers(1001, 60_000)),
)


@given(
    RASTERS,
    st.integers(-10_000, 10_000),
    st.integers(-10_000, 10_000),
    st.sampled_from([Grid("EPSG:26914", 224, 1), Grid(OWN, 134.4, 0.6), Grid(OWN, 0.75, 0.25)]),
    VIEWS,
)
def test_an_address_reads_back(raster: str, row: int, col: int, grid: Grid, view: View) -> None:
    address = TileAddress(raster, TileKey(row, col), grid, view)
    text = str(address)
    assert is_address(text)
    assert parse_address(text) == address


def test_what_it_looks_like() -> None:
    address = TileAddress("/data/naip.tif", TileKey(23255, 2170), Grid("EPSG:26914", 224, 1))
    assert str(address) == (
        "tile:///data/naip.tif?tile=r023255c002170&crs=EPSG:26914&size=224&pixel=1&bands=1,2,3"
    )


@pytest.mark.parametrize(
    "text",
    [
        "tile:///a.tif",
        "tile://?tile=r1c1&crs=EPSG:26914&size=224&pixel=1&bands=1,2,3",
        "tile:///a.tif?tile=x&crs=EPSG:26914&size=224&pixel=1&bands=1,2,3",
        "tile:///a.tif?tile=r1c1&size=224&pixel=1&bands=1,2,3",
        "tile:///a.tif?tile=r1c1&crs=EPSG:26914&size=224&pixel=1&bands=1,2",
        "tile:///a.tif?tile=r1c1&crs=EPSG:26914&size=224&pixel=0.9&bands=1,2,3",
        "tile:///a.tif?tile=r1c1&crs=EPSG:26914&size=224&pixel=1&bands=1,2,3&stretch=1",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is not the address of a tile"):
        parse_address(text)


@given(st.text())
def test_anything_else_is_refused_not_misread(text: str) -> None:
    try:
        address = parse_address(f"tile://{text}")
    except ValueError:
        return
    assert parse_address(str(address)) == address
