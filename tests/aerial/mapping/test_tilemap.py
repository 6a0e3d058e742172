"""Predictions laid out as a map: every tile in its place, north up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.aerial.georeferenced import GeoreferencedPredictions
from foveate.aerial.grid import TileKey
from foveate.aerial.mapping.smoothing import smooth
from foveate.aerial.mapping.tilemap import MOST_CELLS, NOTHING, counted, tile_map
from foveate.errors import SourceError
from foveate.predictions import Predictions
from support.maps import GRID, LABELS, LEFT, TOP, placed_of, predictions_of

keys = st.builds(TileKey, st.integers(-300, 300), st.integers(-300, 300))


def placed_at(places: list[TileKey], classes: list[int]) -> GeoreferencedPredictions:
    return GeoreferencedPredictions(
        predictions_of([str(key) for key in places], classes),
        GRID,
        np.array([key.row for key in places], np.int64),
        np.array([key.col for key in places], np.int64),
        (None,) * len(places),
    )


@given(st.dictionaries(keys, st.integers(-1, 2), min_size=1, max_size=30))
def test_every_tile_lies_where_the_grid_says(tiles: dict[TileKey, int]) -> None:
    if all(label < 0 for label in tiles.values()):
        return
    drawn = tile_map(placed_at(list(tiles), list(tiles.values())))
    rows, cols = drawn.shape
    left, bottom, right, top = drawn.bounds
    assert (right - left, top - bottom) == (cols * GRID.size, rows * GRID.size)
    a, _, c, _, e, f = drawn.transform
    assert drawn.at(list(tiles)).tolist() == list(tiles.values())
    found = {
        drawn.key(row, col): int(drawn.classes[row, col])
        for row, col in np.argwhere(drawn.classes != NOTHING).tolist()
    }
    assert found == {key: label for key, label in tiles.items() if label >= 0}
    for row, col in np.argwhere(drawn.classes != NOTHING).tolist():
        corner = (c + a * col, f + e * (row + 1), c + a * (col + 1), f + e * row)
        assert corner == GRID.bounds(drawn.key(row, col))
    assert np.isnan(drawn.confidence[drawn.classes == NOTHING]).all()
    assert np.isfinite(drawn.confidence[drawn.classes != NOTHING]).all()
    # No row or column of the rectangle is empty.
    assert (drawn.classes != NOTHING).any(axis=0)[[0, -1]].all()
    assert (drawn.classes != NOTHING).any(axis=1)[[0, -1]].all()


def test_north_is_up_and_refused_tiles_are_gaps() -> None:
    drawn = tile_map(placed_of([[0, 1, -9], [-1, 2, 1]]))
    assert drawn.classes.tolist() == [[0, 1, -1], [-1, 2, 1]]
    assert drawn.key(0, 0) == TileKey(TOP, LEFT)
    assert drawn.key(1, 2) == TileKey(TOP - 1, LEFT + 2)
    assert drawn.tiles == 4
    assert drawn.counts.tolist() == [1, 2, 1]
    assert drawn.labels == LABELS
    assert drawn.confidence[0, 0] == pytest.approx(0.8)


def test_what_the_map_does_not_have() -> None:
    drawn = tile_map(placed_of([[0, 1]]))
    outside = [TileKey(TOP + 1, LEFT), TileKey(TOP, LEFT + 2), TileKey(-5, -5)]
    assert drawn.at(outside).tolist() == [-1, -1, -1]
    assert drawn.at([]).tolist() == []


def test_tiles_at_the_ends_of_the_earth_need_no_memory() -> None:
    places = [TileKey(-900_000_000, 0), TileKey(900_000_000, 900_000_000)]
    with pytest.raises(SourceError, match="strewn over"):
        tile_map(placed_at(places, [0, 1]))
    assert MOST_CELLS < 900_000_000


def test_nothing_could_be_read() -> None:
    with pytest.raises(SourceError, match="None of the 2 tiles"):
        tile_map(placed_of([[-1, -1]]))


def test_counting_in_parts() -> None:
    classes = (np.arange(10_000_000, dtype=np.int32).reshape(2500, 4000) % 4 - 1).astype(np.int16)
    assert counted(classes, 4).tolist() == [2_500_000, 2_500_000, 2_500_000, 0]


@pytest.mark.slow
def test_ten_million_tiles() -> None:
    n, side = 10_000_000, 3163
    truth = np.arange(n) // 7 % 3
    probabilities = np.full((n, 3), 0.1, np.float32)
    probabilities[np.arange(n), truth] = 0.8
    nothing = (None,) * n
    predictions = Predictions(LABELS, ("",) * n, nothing, probabilities, nothing)
    rows, cols = np.divmod(np.arange(n), side)
    drawn = tile_map(GeoreferencedPredictions(predictions, GRID, -rows, cols, nothing))
    assert drawn.tiles == n
    assert drawn.counts.tolist() == np.bincount(truth).tolist()
    assert (drawn.classes.ravel()[:n] == truth).all()
    smoothed = smooth(drawn)
    assert smoothed.tiles == n
    assert smoothed.classes[:, 1:-1][1:-2].min() >= 0
