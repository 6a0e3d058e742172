"""Predictions on tiles → a map: smoothed, measured, as rasters, figure and page."""

from foveate.aerial.mapping.mapping import FILES, TilesMapped, map_tiles
from foveate.aerial.mapping.writing import write_map

__all__ = ["FILES", "TilesMapped", "map_tiles", "write_map"]
