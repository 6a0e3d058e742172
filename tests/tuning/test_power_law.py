from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from foveate.tuning.learning_curve import LearningCurve
from foveate.tuning.power_law import continue_curve, fit_power_laws

SIZES = np.array([25.0, 64.0, 127.0, 254.0])
ALL = 318


@pytest.mark.parametrize(
    ("floor", "scale", "exponent"),
    [(0.02, 0.2, 0.5), (0.0, 0.3, 0.3), (0.05, 0.1, 1.0), (0.1, 0.0, 0.5), (0.0, 0.3, 0.05)],
)
def test_a_known_curve_is_recovered(floor: float, scale: float, exponent: float) -> None:
    def error(sizes: np.ndarray) -> np.ndarray:
        return floor + scale * (sizes / 254) ** -exponent

    found = fit_power_laws(SIZES, error(SIZES)[None], np.ones(4))
    beyond = np.array([64.0, 254.0, 508.0, 1016.0])
    assert found.errors(beyond)[0] == pytest.approx(error(beyond), abs=0.002)


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.integers(0, 9))
def test_whatever_was_measured_more_images_never_harm(errors: list[float], seed: int) -> None:
    weights = np.random.default_rng(seed).uniform(0.5, 5, 4)
    found = fit_power_laws(SIZES, np.array([errors]), weights)
    assert found.floor[0] >= 0
    assert found.scale[0] >= 0
    assert 0.05 <= found.exponent[0] <= 1
    assert (np.diff(found.errors(np.geomspace(10, 10_000, 30))[0]) <= 1e-12).all()


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_no_other_floor_and_scale_fit_better(errors: list[float]) -> None:
    measured = np.array(errors)
    found = fit_power_laws(SIZES, measured[None], np.ones(4))
    falling = (SIZES / 254) ** -found.exponent[0]

    def off(floor: float, scale: float) -> float:
        return float(((measured - floor - scale * falling) ** 2).sum())

    best = off(found.floor[0], found.scale[0])
    for floor in (found.floor[0] - 0.01, found.floor[0], found.floor[0] + 0.01):
        for scale in (found.scale[0] - 0.01, found.scale[0], found.scale[0] + 0.01):
            if floor >= 0 and scale >= 0:
                assert best <= off(floor, scale) + 1e-9


def simulated(seed: int) -> LearningCurve:
    """Images that differ in difficulty, and parts that happen to be better or worse."""
    rng = np.random.default_rng(seed)
    repeats = 4
    difficulty = np.sqrt(0.8) * rng.normal(size=ALL)
    luck = rng.normal(size=(4, repeats, ALL)) * np.sqrt(0.2)
    parts = rng.normal(size=(4, repeats, 1)) * np.array([0.1, 0.07, 0.05, 0.035])[:, None, None]
    wrong = difficulty + luck + parts > norm.isf(true_error(SIZES))[:, None, None]
    return LearningCurve(SIZES, wrong, np.arange(ALL))


def true_error(sizes: np.ndarray) -> np.ndarray:
    return 0.02 + 0.05 * (sizes / 254) ** -0.5


@pytest.mark.slow
def test_the_interval_covers_what_is_true() -> None:
    """Over 40 simulated sets of images, at all images, twice and four times as many."""
    times = np.array([1, 2, 4]) * ALL
    truth = 1 - true_error(times)
    covered = np.zeros(4)
    for seed in range(40):
        found = continue_curve(simulated(seed), ALL, seed=seed)
        assert found is not None
        for k, one in enumerate(found.expected.values()):
            covered[k] += one.low <= truth[k] <= one.high
        covered[3] += found.gain.low <= truth[1] - truth[0] <= found.gain.high
    assert (covered / 40 >= 0.88).all()


def test_a_continuation_tells_what_was_measured_and_what_is_expected() -> None:
    curve = simulated(1)
    found = continue_curve(curve, ALL, seed=0)
    assert found is not None
    assert list(found.measured) == SIZES.tolist()
    assert [one.value for one in found.measured.values()] == pytest.approx(1 - curve.errors)
    assert list(found.expected) == [318, 636, 1272]
    values = [one.value for one in found.expected.values()]
    assert values == sorted(values)
    assert found.gain.value == pytest.approx(values[1] - values[0])
    widths = [one.high - one.low for one in found.expected.values()]
    assert widths[2] > widths[0]
    assert (found.band[:, 2] <= found.band[:, 3]).all()


def test_the_same_seed_gives_the_same_interval() -> None:
    one, same = (continue_curve(simulated(1), ALL, seed=0) for _ in range(2))
    assert one is not None
    assert same is not None
    assert one.expected == same.expected


def test_where_nothing_was_wrong_the_interval_still_has_a_width() -> None:
    curve = LearningCurve(SIZES, np.zeros((4, 2, 50), bool), np.arange(50))
    found = continue_curve(curve, 60, seed=0)
    assert found is not None
    last = found.expected[120]
    assert last.value == 1
    assert last.low < 0.95
    assert found.gain.value == 0
    assert found.gain.high == pytest.approx(1 - last.low)


def test_two_sizes_are_too_few() -> None:
    curve = LearningCurve(SIZES[:2], np.zeros((2, 2, 50), bool), np.arange(50))
    assert continue_curve(curve, 60, seed=0) is None
