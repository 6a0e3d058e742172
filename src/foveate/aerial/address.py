"""The address of a tile: a URL that says all it takes to read it straight from its raster.

    tile:///data/naip_2018.tif?tile=r023255c002170&crs=EPSG:26914&size=224&pixel=1&bands=1,2,3

Wherever foveate reads an image, it reads such an address, too (`filesystem` tells fsspec how), so
training, scoring, reports and a cluster need no files of tiles. The raster in it may be a URL.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote

from foveate.aerial.grid import Grid, TileKey, parse_key
from foveate.errors import FoveateError

SCHEME = "tile://"
TILE = "?tile="
_SAFE = ":, ()[]\"'/"


@dataclass(frozen=True, slots=True)
class View:
    """How the pixels of a raster are shown.

    Attributes:
        bands: three bands, counted from 1, that become red, green and blue.
        stretch: values that become 0 and 255; None for 8-bit rasters, which stay as they are.
    """

    bands: tuple[int, int, int] = (1, 2, 3)
    stretch: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class TileAddress:
    """One tile of one raster.

    Attributes:
        raster: local path or URL.
        key: which tile.
        grid: of which grid.
        view: how it is shown.
    """

    raster: str
    key: TileKey
    grid: Grid
    view: View = View()

    def __str__(self) -> str:
        grid, view = self.grid, self.view
        parts = [
            f"{SCHEME}{self.raster}{TILE}{self.key}",
            f"crs={quote(grid.crs, safe=_SAFE)}",
            f"size={grid.size:.12g}",
            f"pixel={grid.pixel:.12g}",
            f"bands={','.join(map(str, view.bands))}",
        ]
        if view.stretch is not None:
            parts.append(f"stretch={view.stretch[0]:.12g},{view.stretch[1]:.12g}")
        return "&".join(parts)


def is_address(path: str) -> bool:
    """Whether a path is the address of a tile."""
    return path.startswith(SCHEME)


def parse_address(text: str) -> TileAddress:
    """The tile that an address names.

    Raises:
        ValueError: it is not the address of a tile.
    """
    raster, question, query = text.removeprefix(SCHEME).rpartition(TILE)
    if not question or not raster:
        raise ValueError(f"‘{text[:200]}’ is not the address of a tile")
    key, *pairs = query.split("&")
    values = dict(pair.partition("=")[::2] for pair in pairs)
    try:
        grid = Grid(unquote(values["crs"]), float(values["size"]), float(values["pixel"]))
        red, green, blue = (int(band) for band in values["bands"].split(","))
        stretch = None
        if "stretch" in values:
            low, high = (float(value) for value in values["stretch"].split(","))
            stretch = (low, high)
        return TileAddress(raster, parse_key(key), grid, View((red, green, blue), stretch))
    except (KeyError, ValueError, FoveateError) as error:
        raise ValueError(f"‘{text[:200]}’ is not the address of a tile: {error}") from None
