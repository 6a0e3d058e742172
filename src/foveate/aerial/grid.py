"""The grid of tiles: squares of one size in one coordinate reference system, fixed to its origin.

The grid does not depend on any image. Two cuts with the same system and size have the same tiles,
so what was photographed in two years lines up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor
from typing import TYPE_CHECKING

from foveate.errors import SettingsError

if TYPE_CHECKING:
    from pyproj import CRS

Bounds = tuple[float, float, float, float]
"""Left, bottom, right, top, in metres of the grid's system."""

_KEY = re.compile(r"r(-?\d{1,9})c(-?\d{1,9})")
_LENGTH = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(m|km|cm)?\s*", re.IGNORECASE)
_UNITS = {"m": 1.0, "km": 1000.0, "cm": 0.01}

MOST_PIXELS = 4096
"""A side of a tile; more is no tile but an image."""

_EDGE = 1e-6
"""Of a tile: a border that lies so near to a line of the grid lies on it."""


@dataclass(frozen=True, slots=True, order=True)
class TileKey:
    """Which tile of a grid.

    Attributes:
        row: counted northwards from the origin.
        col: counted eastwards from the origin.
    """

    row: int
    col: int

    def __str__(self) -> str:
        return f"r{self.row:06d}c{self.col:06d}"


def parse_key(text: str) -> TileKey:
    """A key from its text, as `r023255c002170`.

    Raises:
        ValueError: it is not one.
    """
    match = _KEY.fullmatch(text)
    if match is None:
        raise ValueError(f"‘{text}’ does not name a tile")
    return TileKey(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True)
class Grid:
    """Square tiles in a projected system.

    Attributes:
        crs: the coordinate reference system, in metres: `EPSG:26914`, or WKT where it has no code.
        size: a side of a tile, m.
        pixel: a side of a pixel of the tile's image, m.
    """

    crs: str
    size: float
    pixel: float

    def __post_init__(self) -> None:
        pixels = self.size / self.pixel if self.pixel > 0 else 0.0
        if self.size <= 0 or pixels < 1 or abs(pixels - round(pixels)) > 1e-6:
            raise SettingsError(
                f"A tile of {self.size:g} m is not a whole number of pixels of {self.pixel:g} m."
            )
        if pixels > MOST_PIXELS:
            raise SettingsError(
                f"A tile of {self.size:g} m would have {pixels:,.0f} pixels of {self.pixel:g} m a "
                f"side; {MOST_PIXELS:,} are the most. Make the tile smaller or the pixel larger."
            )

    @property
    def pixels(self) -> int:
        """Pixels a side of a tile's image."""
        return round(self.size / self.pixel)

    @property
    def area(self) -> float:
        """Of a tile, in km²."""
        return self.size**2 / 1e6

    def bounds(self, key: TileKey) -> Bounds:
        """Of a tile."""
        left, bottom = key.col * self.size, key.row * self.size
        return left, bottom, left + self.size, bottom + self.size

    def centre(self, key: TileKey) -> tuple[float, float]:
        """The middle of a tile, x and y."""
        return (key.col + 0.5) * self.size, (key.row + 0.5) * self.size

    def covering(self, bounds: Bounds) -> tuple[range, range]:
        """Rows and columns of the tiles that share area with a rectangle."""
        left, bottom, right, top = (value / self.size for value in bounds)
        return (
            range(floor(bottom + _EDGE), ceil(top - _EDGE)),
            range(floor(left + _EDGE), ceil(right - _EDGE)),
        )


def parse_length(text: str) -> float:
    """Metres, from a text such as `224m`, `0.6 m`, `1km` or a plain number.

    Raises:
        SettingsError: it is not a length above 0.
    """
    match = _LENGTH.fullmatch(text)
    metres = float(match[1]) * _UNITS[(match[2] or "m").lower()] if match else 0.0
    if metres <= 0:
        raise SettingsError(f"‘{text}’ is not a length; write it as 224m, 0.6m or 1km.")
    return metres


@lru_cache(maxsize=64)
def parse_crs(text: str) -> CRS:
    """A coordinate reference system by its code, WKT or PROJ string.

    Raises:
        SettingsError: nobody knows it.
    """
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return CRS.from_user_input(text)
    except CRSError:
        raise SettingsError(
            f"There is no coordinate reference system ‘{text[:60]}’. "
            "Name one by its code, as EPSG:26914."
        ) from None


def crs_text(crs: CRS) -> str:
    """The shortest text that gives the same system again: its code, else its WKT."""
    code = crs.to_authority(min_confidence=100)
    return ":".join(code) if code is not None else crs.to_wkt()


def is_metric(crs: CRS) -> bool:
    """Whether distances in it are metres: projected, and not in feet or degrees."""
    return crs.is_projected and all(
        abs(axis.unit_conversion_factor - 1) < 1e-9 for axis in crs.axis_info[:2]
    )


def metric_crs(longitude: float, latitude: float) -> str:
    """The UTM zone (WGS 84) of a place, for imagery whose own system is not in metres."""
    zone = min(int((longitude + 180) // 6) + 1, 60)
    return f"EPSG:{32600 + zone if latitude >= 0 else 32700 + zone}"
