"""Smoothing of a map: each tile takes the label that most of the tiles around it have.

Land use comes in patches larger than a tile, so a tile unlike all of its neighbours is more often a
mistake than a find. The tile itself has several votes, because it was looked at and they were not.
"""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.aerial.mapping.tilemap import NOTHING, TileMap
from foveate.errors import SettingsError

CENTER_WEIGHT = 2.0
"""Votes of the tile itself, where nobody asks for others; each neighbour has one."""

_Number = TypeVar("_Number", np.uint8, np.float64)

_PART = 2_000_000
"""Cells that are smoothed at a time."""


def smooth(tiles: TileMap, center_weight: float = CENTER_WEIGHT) -> TileMap:
    """Give each tile the plurality label of the 3 × 3 tiles around it.

    Where several labels have as many votes, the tile keeps its own if it is among them; otherwise
    the label counts whose tiles are surer together. Cells without a tile do not vote and stay so.

    Args:
        tiles: the map; its classes are those of the tiles before any smoothing.
        center_weight: votes of the tile itself, at least 0. From 8 on, no tile changes.

    Returns:
        The same map with other classes. Its `confidence` still says how probable the label was
        that the classifier predicted.

    Raises:
        SettingsError: `center_weight` is negative or not a number.
    """
    if not isfinite(center_weight) or center_weight < 0:
        raise SettingsError(
            f"The weight of the centre tile is {center_weight:g}; give a number of votes from 0 on."
        )
    height, width = tiles.shape
    smoothed = np.empty_like(tiles.classes)
    step = max(_PART // max(width, 1), 1)
    for first in range(0, height, step):
        last = min(first + step, height)
        # One row more on each side: their tiles vote, too.
        above, below = max(first - 1, 0), min(last + 1, height)
        part = _smoothed(tiles.classes[above:below], tiles.confidence[above:below], center_weight)
        smoothed[first:last] = part[first - above : last - above]
    return replace(tiles, classes=smoothed)


def _smoothed(
    classes: NDArray[np.int16], confidence: NDArray[np.float32], center_weight: float
) -> NDArray[np.int16]:
    there = classes != NOTHING
    # With 53 bits the sum of nine 24-bit numbers has no rounding, so ties are ties.
    sure = np.where(there, confidence, 0).astype(np.float64)
    own: NDArray[np.float64] = np.zeros(classes.shape)
    for k in np.unique(classes[there]):
        mine = classes == k
        own[mine] = _around(mine.astype(np.uint8))[mine] - 1 + center_weight
    best, most, surest = classes.copy(), own, np.full(classes.shape, np.inf)
    for k in np.unique(classes[there]):
        mine = classes == k
        votes = _around(mine.astype(np.uint8))
        rivals = there & ~mine & (votes >= most)
        if not rivals.any():
            continue
        together = _around(np.where(mine, sure, 0))
        wins = rivals & ((votes > most) | (together > surest))
        best[wins], most[wins], surest[wins] = k, votes[wins], together[wins]
    return best


def _around(values: NDArray[_Number]) -> NDArray[_Number]:
    """(h, w) sums over the 3 × 3 cells around each, those outside being 0."""
    tall = values.copy()
    tall[1:] += values[:-1]
    tall[:-1] += values[1:]
    wide = tall.copy()
    wide[:, 1:] += tall[:, :-1]
    wide[:, :-1] += tall[:, 1:]
    return wide
