"""Predictions on tiles, drawn by code."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foveate.aerial.address import TileAddress
from foveate.aerial.georeferenced import GeoreferencedPredictions
from foveate.aerial.grid import Grid, TileKey
from foveate.predictions import Predictions

GRID = Grid("EPSG:26914", 224.0, 1.0)
LABELS = ("Developed", "Cultivated", "Undeveloped")
TOP, LEFT = 20_000, 2_000
"""The grid's row and column of the upper left tile of what is drawn."""


def predictions_of(
    paths: Sequence[str],
    classes: Sequence[int],
    *,
    confidence: Sequence[float] | None = None,
    known: Sequence[str | None] | None = None,
    trained: Sequence[bool] | None = None,
    labels: tuple[str, ...] = LABELS,
) -> Predictions:
    """One prediction a path; class -1 is an image that was refused."""
    n, k = len(paths), len(labels)
    probabilities = np.full((n, k), np.nan, np.float32)
    for row, label in enumerate(classes):
        if label >= 0:
            sure = 0.8 if confidence is None else confidence[row]
            probabilities[row] = (1 - sure) / max(k - 1, 1)
            probabilities[row, label] = sure
    return Predictions(
        labels=labels,
        paths=tuple(paths),
        known=tuple(known) if known is not None else (None,) * n,
        probabilities=probabilities,
        errors=tuple("truncated: half of it is missing" if c < 0 else None for c in classes),
        trained_on=None if trained is None else tuple(trained),
    )


def placed_of(
    classes: Sequence[Sequence[int]] | NDArray[np.integer],
    *,
    gap: int = -9,
    known: NDArray[np.object_] | None = None,
    trained: NDArray[np.bool_] | None = None,
    confidence: NDArray[np.floating] | None = None,
    labels: tuple[str, ...] = LABELS,
    grid: Grid = GRID,
) -> GeoreferencedPredictions:
    """A map's predictions from (rows, cols) classes, north up; `gap` is no tile, -1 a refused."""
    drawn = np.asarray(classes)
    down, across = np.nonzero(drawn != gap)
    where = down, across
    keys = [TileKey(TOP - row, LEFT + col) for row, col in zip(*where, strict=True)]
    predictions = predictions_of(
        [str(TileAddress("naip_20180716.tif", key, grid)) for key in keys],
        drawn[where].tolist(),
        confidence=None if confidence is None else confidence[where].tolist(),
        known=None if known is None else known[where].tolist(),
        trained=None if trained is None else trained[where].tolist(),
        labels=labels,
    )
    return GeoreferencedPredictions(
        predictions, grid, TOP - down, LEFT + across, (2018,) * len(keys)
    )


def patches(side: int, k: int = 3, seed: int = 0, *, patch: int = 6) -> NDArray[np.int64]:
    """(side, side) classes in square patches, as land lies."""
    coarse = np.random.default_rng(seed).integers(0, k, (-(-side // patch),) * 2)
    return np.repeat(np.repeat(coarse, patch, 0), patch, 1)[:side, :side]


def blurred(truth: NDArray[np.int64], share: float, k: int = 3, seed: int = 1) -> NDArray[np.int64]:
    """The same with a share of the cells wrong."""
    rng = np.random.default_rng(seed)
    wrong = (truth + rng.integers(1, k, truth.shape)) % k
    return np.where(rng.random(truth.shape) < share, wrong, truth)


def named(classes: NDArray[np.int64], labels: tuple[str, ...] = LABELS) -> NDArray[np.object_]:
    """(rows, cols) labels of classes; None for -1."""
    return np.array([*labels, None], object)[classes]


def outline(grid: Grid, key: TileKey) -> bytes:
    """A tile's square as WKB, written out."""
    left, bottom, right, top = grid.bounds(key)
    corners = (left, bottom, right, bottom, right, top, left, top, left, bottom)
    return struct.pack("<BIII10d", 1, 3, 1, 5, *corners)
