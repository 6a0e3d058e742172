"""`tile://` for fsspec: the bytes at the address of a tile are an image of its pixels.

The entry point `fsspec.specs` in `pyproject.toml` makes it known, so `files.read_bytes` gives a
tile like any other image and no other room has to know of rasters.
"""

from __future__ import annotations

import time
from typing import Any

from fsspec import AbstractFileSystem

from foveate import files
from foveate.aerial.address import SCHEME, TileAddress, parse_address
from foveate.aerial.raster import read_tile

SECONDS_KNOWN = 10.0
"""How long the size and version of a raster are believed: a table names it for every tile."""


class TileFileSystem(AbstractFileSystem):
    """Reads tiles, one at a time; there is nothing to list and nothing to write."""

    protocol = "tile"
    root_marker = ""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._rasters: dict[str, tuple[float, files.FileEntry]] = {}

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return path.removeprefix(SCHEME) if isinstance(path, str) else path

    def info(self, path: str, **_options: Any) -> dict[str, Any]:
        """Size in bytes of a tile's image, and a version that changes with its raster.

        Raises:
            FileNotFoundError: it is not the address of a tile, or the raster is not there.
        """
        address = _parse(path)
        raster = self._entry_of(address.raster)
        if raster.size < 0:
            raise FileNotFoundError(address.raster)
        side = address.grid.pixels
        size = len(_header(side)) + 3 * side * side
        return {"name": path, "size": size, "type": "file", "ETag": raster.stamp or None}

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_options: Any
    ) -> bytes:
        """The tile as a binary PPM: a header and its pixels as they are.

        No compression, because nothing is ever stored: the id of a tile is the digest of its
        pixels, whichever raster they come from.

        Raises:
            OSError: the raster cannot be read, or the tile lies outside.
        """
        address = _parse(path)
        pixels, _ = read_tile(address)
        return (_header(address.grid.pixels) + pixels.tobytes())[start:end]

    def _entry_of(self, raster: str) -> files.FileEntry:
        now = time.monotonic()
        seen, entry = self._rasters.get(raster, (-SECONDS_KNOWN, None))
        if entry is None or now - seen > SECONDS_KNOWN:
            entry = files.file_entry(raster)
            self._rasters[raster] = now, entry
        return entry

    def isdir(self, path: str) -> bool:
        """Never."""
        del path
        return False


def _header(side: int) -> bytes:
    """Of a PPM: Poskanzer, J. (1989). ppm(5), Netpbm."""
    return b"P6 %d %d 255\n" % (side, side)


def _parse(path: str) -> TileAddress:
    try:
        return parse_address(path)
    except ValueError as error:
        raise FileNotFoundError(str(error)) from None
