"""Rasters → tiles: the imagery, its labels, the choice, the index and the files."""

from foveate.aerial.cutting.cutting import Cut, cut

__all__ = ["Cut", "cut"]
