"""The address of a tile is an image path for every room."""

from __future__ import annotations

import io
import os
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from foveate import files
from foveate.aerial.address import TileAddress
from foveate.aerial.grid import Grid
from foveate.aerial.raster import read_tile
from support.rasters import LEFT, TOP, UTM, key_at, noise, write_raster

GRID = Grid(UTM, 32, 1)
KEY = key_at(GRID, LEFT + 48, TOP - 48)


@pytest.fixture
def address(tmp_path: Path) -> TileAddress:
    return TileAddress(write_raster(tmp_path / "a b ü.tif", noise(3, 96)), KEY, GRID)


def test_the_bytes_at_an_address_are_an_image_of_its_pixels(address: TileAddress) -> None:
    image = Image.open(io.BytesIO(files.read_bytes(str(address))))
    assert image.size == (32, 32)
    pixels, _ = read_tile(address)
    assert np.array_equal(np.asarray(image), pixels)


def test_size_and_version_are_those_of_the_bytes(address: TileAddress) -> None:
    entry = files.file_entry(str(address))
    assert entry.size == len(files.read_bytes(str(address)))
    assert entry.stamp == files.file_entry(str(address)).stamp
    assert files.exists(str(address))
    assert not files.is_folder(str(address))


def test_the_version_changes_with_the_raster(
    address: TileAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foveate.aerial.filesystem.SECONDS_KNOWN", -1.0)
    before = files.file_entry(str(address)).stamp
    os.utime(address.raster, (1, 1))
    assert files.file_entry(str(address)).stamp != before


def test_part_of_the_bytes(address: TileAddress) -> None:
    whole = files.read_bytes(str(address))
    filesystem, path = fsspec.core.url_to_fs(str(address))
    assert filesystem.cat_file(path, start=3, end=20) == whole[3:20]


@pytest.mark.parametrize("damage", ["no.tif", "?tile=nothing"])
def test_what_is_not_there_is_an_oserror(address: TileAddress, damage: str) -> None:
    text = str(address)
    bad = text.replace(".tif", f".{damage}") if damage == "no.tif" else f"tile://a.tif{damage}"
    with pytest.raises(OSError, match="not"):
        files.read_bytes(bad)
    assert files.file_entry(bad).size == -1
    assert not files.exists(bad)
