"""Smoothing against a plain version of the same words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from foveate.aerial.mapping import smoothing
from foveate.aerial.mapping.smoothing import smooth
from foveate.aerial.mapping.tilemap import TileMap
from foveate.errors import SettingsError
from support.maps import GRID, blurred, patches

WEIGHTS = st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 8.0])
SHAPES = st.tuples(st.integers(1, 7), st.integers(1, 7))


def map_of(classes: NDArray[np.integer], confidence: NDArray[np.floating] | None = None) -> TileMap:
    sure = np.full(classes.shape, 0.5) if confidence is None else confidence
    sure = np.where(classes < 0, np.nan, sure).astype(np.float32)
    labels = tuple("abcdefgh"[: max(int(classes.max(initial=0)) + 1, 1)])
    return TileMap(GRID, 10, 10, labels, classes.astype(np.int16), sure)


def plain(
    classes: NDArray[np.integer], sure: NDArray[np.floating], weight: float
) -> list[list[int]]:
    """One tile after the other, as one would say it."""
    rows, cols = classes.shape
    done = [[-1] * cols for _ in range(rows)]
    for row in range(rows):
        for col in range(cols):
            if classes[row, col] < 0:
                continue
            votes: dict[int, float] = {}
            surety: dict[int, float] = {}
            for r in range(max(row - 1, 0), min(row + 2, rows)):
                for c in range(max(col - 1, 0), min(col + 2, cols)):
                    label = int(classes[r, c])
                    if label >= 0:
                        vote = weight if (r, c) == (row, col) else 1.0
                        votes[label] = votes.get(label, 0.0) + vote
                        surety[label] = surety.get(label, 0.0) + float(sure[r, c])
            own = int(classes[row, col])
            most = max(votes.values())
            tied = [label for label, count in votes.items() if count == most]
            best = max(surety[label] for label in tied)
            done[row][col] = (
                own if own in tied else min(label for label in tied if surety[label] == best)
            )
    return done


@given(
    SHAPES.flatmap(
        lambda shape: st.tuples(
            arrays(np.int16, shape, elements=st.integers(-1, 4)),
            arrays(np.float32, shape, elements=st.sampled_from([0.25, 0.5, 0.625, 0.9, 1.0])),
        )
    ),
    WEIGHTS,
)
def test_the_same_as_a_plain_version(
    drawn: tuple[NDArray[np.int16], NDArray[np.float32]], weight: float
) -> None:
    classes, sure = drawn
    assert smooth(map_of(classes, sure), weight).classes.tolist() == plain(classes, sure, weight)


@given(arrays(np.int16, (9, 5), elements=st.integers(-1, 3)))
def test_parts_fit_together(classes: NDArray[np.int16]) -> None:
    """A large map is smoothed a few rows at a time."""
    whole = smooth(map_of(classes)).classes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smoothing, "_PART", 7)
        assert (smooth(map_of(classes)).classes == whole).all()


@given(arrays(np.int16, (5, 6), elements=st.integers(-1, 3)), WEIGHTS)
def test_gaps_stay_and_uniform_land_does_not_change(
    classes: NDArray[np.int16], weight: float
) -> None:
    smoothed = smooth(map_of(classes), weight).classes
    assert ((smoothed < 0) == (classes < 0)).all()
    assert set(np.unique(smoothed)) <= set(np.unique(classes))
    one = np.where(classes < 0, -1, 0)
    assert (smooth(map_of(one), weight).classes == one).all()


def test_a_tile_that_outweighs_its_neighbours_keeps_its_label() -> None:
    classes = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]])
    assert smooth(map_of(classes), 7.5).classes[1, 1] == 0
    assert smooth(map_of(classes), 8).classes[1, 1] == 1


def test_a_tie_goes_to_the_centre_then_to_the_surer() -> None:
    classes = np.array([[0, 0, 2], [0, 1, 2], [-1, -1, 2]])
    sure = np.array([[0.5, 0.5, 0.9], [0.5, 0.99, 0.9], [0, 0, 0.9]])
    assert smooth(map_of(classes, sure), 3).classes[1, 1] == 1
    assert smooth(map_of(classes, sure), 2).classes[1, 1] == 2
    assert smooth(map_of(classes, 1.0 - sure), 2).classes[1, 1] == 0


def test_it_takes_most_of_the_noise_away() -> None:
    truth = patches(60)
    noisy = blurred(truth, 0.2)
    smoothed = smooth(map_of(noisy)).classes
    assert (noisy != truth).mean() > 0.18
    assert (smoothed != truth).mean() < 0.08


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_a_weight_that_is_none(weight: float) -> None:
    with pytest.raises(SettingsError, match="weight of the centre"):
        smooth(map_of(np.zeros((2, 2), np.int16)), weight)
