"""How often intervals hold the truth: a 95 % interval is to do so 93 to 97 times in 100.

Each is made for 1,000 simulated test sets of 139 to 400 images, from classifiers that are right 85
to 95 times in 100. Chance alone moves the share of intervals that hold by 0.7 points.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from foveate.evaluation.auc import areas_with_intervals
from foveate.evaluation.intervals import (
    Estimate,
    resampled_average,
    resampled_difference,
    tango,
    wilson,
)
from foveate.evaluation.paired import Paired, compare_predictions
from foveate.predictions import Predictions

pytestmark = pytest.mark.slow

SETS = 1000
RESAMPLES = 500


def assert_covered(estimates: Iterable[Estimate], truth: float) -> None:
    # A difference of 0.02 as a sum of shares of images is not quite 0.02.
    inside = [one.low - 1e-9 <= truth <= one.high + 1e-9 for one in estimates]
    assert 0.93 <= np.mean(inside) <= 0.97


@pytest.mark.parametrize(("n", "share"), [(139, 0.85), (139, 0.9), (250, 0.93), (400, 0.95)])
def test_accuracy(n: int, share: float) -> None:
    hits = np.random.default_rng(0).binomial(n, share, SETS)
    assert_covered((wilson(int(one), n) for one in hits), share)


PAIRS = [
    # Images, share that the one alone gets right, share that the other alone gets right.
    (139, 0.05, 0.02),
    (139, 0.03, 0.03),
    (250, 0.08, 0.03),
    (400, 0.02, 0.02),
    (400, 0.06, 0.04),
]


def drawn_pairs(n: int, one: float, other: float) -> NDArray[np.int64]:
    rng = np.random.default_rng(1)
    return rng.multinomial(n, [one, other, 1 - one - other], SETS)[:, :2]


@pytest.mark.parametrize(("n", "one", "other"), PAIRS)
def test_difference_by_tango(n: int, one: float, other: float) -> None:
    made = cache(tango)
    pairs = drawn_pairs(n, one, other).tolist()
    assert_covered((made(b, c, n) for b, c in pairs), one - other)


@pytest.mark.parametrize(("n", "one", "other"), PAIRS)
def test_difference_by_bootstrap(n: int, one: float, other: float) -> None:
    rng = np.random.default_rng(2)
    made = (
        resampled_difference(pair[:1], pair[1:], np.array([n]), resamples=RESAMPLES, rng=rng)
        for pair in drawn_pairs(n, one, other)
    )
    assert_covered(made, one - other)


@pytest.mark.parametrize(
    ("counts", "one", "other"),
    [
        ([46, 46, 47], [0.05, 0.05, 0.05], [0.02, 0.02, 0.02]),
        ([80, 40, 19], [0.03, 0.05, 0.10], [0.01, 0.05, 0.06]),
        ([40] * 10, [0.05] * 10, [0.02] * 10),
        ([200, 120, 80], [0.02, 0.06, 0.08], [0.02, 0.03, 0.04]),
    ],
)
def test_difference_of_class_averages(
    counts: list[int], one: list[float], other: list[float]
) -> None:
    rng = np.random.default_rng(3)
    n, p, q = np.array(counts), np.array(one), np.array(other)

    def made() -> Estimate:
        only_one = rng.binomial(n, p)
        only_other = rng.binomial(n - only_one, q / (1 - p))
        return resampled_difference(only_one, only_other, n, resamples=RESAMPLES, rng=rng)

    assert_covered((made() for _ in range(SETS)), float((p - q).mean()))


@pytest.mark.parametrize(
    ("counts", "shares"),
    [
        ([46, 46, 47], [0.90, 0.94, 0.98]),
        ([46, 46, 47], [0.85, 0.85, 0.85]),
        ([80, 40, 19], [0.95, 0.90, 0.85]),
        ([80, 40, 19], [0.90, 0.94, 0.98]),
        ([40] * 10, np.linspace(0.85, 0.99, 10).tolist()),
        ([14] * 10, [0.93] * 10),
    ],
)
def test_class_average_accuracy(counts: list[int], shares: list[float]) -> None:
    rng = np.random.default_rng(4)
    n = np.array(counts)
    made = (
        resampled_average(rng.binomial(n, shares), n, resamples=RESAMPLES, rng=rng)
        for _ in range(SETS)
    )
    assert_covered(made, float(np.mean(shares)))


@pytest.mark.parametrize(
    ("counts", "strength", "area"),
    [
        # The area of two labels is Φ(strength); that of three was counted on 1,600,000 images.
        ((70, 69), 1.8, 0.96407),
        ((100, 39), 1.8, 0.96407),
        ((200, 200), 2.1, 0.98214),
        ((46, 46, 47), 2.0, 0.96756),
        ((46, 46, 47), 2.5, 0.99028),
        ((80, 40, 19), 2.0, 0.96756),
        ((80, 40, 19), 2.5, 0.99028),
        ((133, 133, 134), 2.5, 0.99028),
    ],
)
def test_average_area_under_the_roc_curve(
    counts: tuple[int, ...], strength: float, area: float
) -> None:
    """Normal scores; that of the known label is raised by `strength` standard deviations."""
    rng = np.random.default_rng(5)
    known = np.repeat(np.arange(len(counts)), counts)

    def made() -> Estimate:
        scores = rng.normal(size=(len(known), len(counts)))
        scores[np.arange(len(known)), known] += strength
        scores = np.exp(scores)
        probabilities = scores / scores.sum(axis=1, keepdims=True)
        return areas_with_intervals(probabilities.astype(np.float32), known)[1]

    assert_covered((made() for _ in range(SETS)), area)


def test_two_classifiers_from_their_predictions() -> None:
    """Everything between predictions and intervals: two labels, 180 and 60 images, correlated."""
    rng = np.random.default_rng(6)
    labels = ("a", "b")
    known = np.repeat([0, 1], (180, 60))
    names = tuple(labels[k] for k in known)
    right = {"a": np.array([0.92, 0.88]), "b": np.array([0.88, 0.86])}
    same = 0.6

    def predictions(says: NDArray[np.intp]) -> Predictions:
        probabilities = np.full((len(known), 2), 0.2, np.float32)
        probabilities[np.arange(len(known)), says] = 0.8
        paths = tuple(str(row) for row in range(len(known)))
        return Predictions(labels, paths, names, probabilities, (None,) * len(known))

    def made() -> Paired:
        # The same image is hard for both: most draws are shared.
        shared = rng.random(len(known))
        own = np.where(rng.random(len(known)) < same, shared, rng.random(len(known)))
        a, b = shared < right["a"][known], own < right["b"][known]
        found = compare_predictions(
            predictions(np.where(a, known, 1 - known)),
            predictions(np.where(b, known, 1 - known)),
            resamples=RESAMPLES,
        )
        assert isinstance(found, Paired)
        return found

    found = [made() for _ in range(SETS)]
    by_label = right["a"] - right["b"]
    overall = float(by_label @ [0.75, 0.25])
    assert_covered((one.comparison.difference for one in found), overall)
    assert_covered((one.bootstrap for one in found), overall)
    assert_covered((one.class_average for one in found), float(by_label.mean()))
    assert_covered((one.per_label["a"].difference for one in found), float(by_label[0]))
