"""Pictures of tiles with what lies around them, wherever their pixels come from."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

from foveate import files
from foveate.aerial.address import TileAddress, is_address, parse_address
from foveate.aerial.change.pairing import codes_of
from foveate.aerial.georeferenced import GeoreferencedPredictions
from foveate.aerial.grid import Grid, TileKey
from foveate.aerial.raster import open_raster, stretched
from foveate.errors import FoveateError
from foveate.image import Resize, open_image

RING = 1
"""Tiles on each side of the one that is shown."""

SIDE = 80
"""Pixels a side that a tile is drawn with, at most."""

_PAPER = 225
_QUALITY = 80


class Surroundings:
    """Draws tiles of one year with their neighbours.

    Args:
        placed: tiles, each once; those that are files are neighbours of each other, those that are
            read from a raster show what it has around them, and the rasters of their neighbours.
    """

    def __init__(self, placed: GeoreferencedPredictions) -> None:
        self._placed = placed
        codes = codes_of(placed.rows, placed.cols)
        self._order = np.argsort(codes)
        self._codes = codes[self._order]
        self._side = min(SIDE, placed.grid.pixels)

    def picture(self, number: int) -> str | None:
        """A tile and the ring around it as the `data:` URL of a JPEG.

        Returns:
            None where its pixels cannot be read, for whatever reason: a page of many pictures must
            not fail because one of them has gone.
        """
        from PIL import Image

        try:
            pixels = self.pixels(number)
        except (OSError, ValueError, FoveateError):
            return None
        encoded = io.BytesIO()
        Image.fromarray(pixels).save(encoded, "JPEG", quality=_QUALITY, optimize=True)
        return "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode("ascii")

    def pixels(self, number: int) -> NDArray[np.uint8]:
        """(h, w, 3) uint8 RGB of a tile and the ring around it; grey where nothing is known.

        Raises:
            OSError: the raster of the tile cannot be read, or its file.
            ImageRefused: its file is no image.
        """
        path = self._placed.predictions.paths[number]
        key = self._placed.key(number)
        if is_address(path):
            return self._from_rasters(parse_address(path), key)
        return self._from_files(key)

    def _from_rasters(self, address: TileAddress, key: TileKey) -> NDArray[np.uint8]:
        grid = Grid(address.grid.crs, address.grid.size, address.grid.size / self._side)
        left, bottom, right, top = grid.bounds(key)
        ring = RING * grid.size
        bounds = left - ring, bottom - ring, right + ring, top + ring
        paths = (self._path(near) for near in _around(key))
        near = [parse_address(path) for path in paths if path is not None and is_address(path)]
        rasters = {one.raster: one for one in (*reversed(near), address)}
        edge = (2 * RING + 1) * self._side
        shown = np.full((edge, edge, 3), _PAPER, np.uint8)
        missing = np.ones((edge, edge), bool)
        # The tile's own raster was put in last; the others only fill what it leaves.
        for one in reversed(rasters.values()):
            try:
                values, valid = open_raster(one.raster).read(grid, bounds, one.view.bands)
            except (OSError, FoveateError):
                if one.raster == address.raster:
                    raise
                continue
            fresh = missing & valid
            shown[fresh] = stretched(values, one.view).transpose(1, 2, 0)[fresh]
            missing &= ~fresh
            if not missing.any():
                break
        return shown

    def _from_files(self, key: TileKey) -> NDArray[np.uint8]:
        side = self._side
        edge = (2 * RING + 1) * side
        shown = np.full((edge, edge, 3), _PAPER, np.uint8)
        for near in _around(key):
            path = self._path(near)
            if path is None or is_address(path):
                continue
            try:
                pixels = open_image(files.read_bytes(path)).pixels(Resize(side, "squash"))
            except (OSError, FoveateError):
                if near == key:
                    raise
                continue
            y, x = (key.row - near.row + RING) * side, (near.col - key.col + RING) * side
            shown[y : y + side, x : x + side] = pixels
        return shown

    def _path(self, key: TileKey) -> str | None:
        code = codes_of(np.array([key.row]), np.array([key.col]))
        place = int(np.searchsorted(self._codes, code)[0])
        if place == len(self._codes) or self._codes[place] != code[0]:
            return None
        return self._placed.predictions.paths[int(self._order[place])]


def _around(key: TileKey) -> list[TileKey]:
    """A tile and the ring around it."""
    steps = range(-RING, RING + 1)
    return [TileKey(key.row + row, key.col + col) for row in steps for col in steps]
