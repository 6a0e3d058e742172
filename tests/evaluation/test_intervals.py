"""Tests of foveate.evaluation.intervals."""

from __future__ import annotations

from math import isnan, log, sqrt

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest, multinomial

from foveate.evaluation.intervals import (
    average,
    bootstrap,
    newcombe_auc,
    newcombe_difference,
    tango,
    widened,
    wilson,
)


@pytest.mark.parametrize(
    ("hits", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (15, 148), (132, 139), (9999, 10000)]
)
def test_wilson_agrees_with_scipy(hits: int, n: int) -> None:
    ours = wilson(hits, n)
    theirs = binomtest(hits, n).proportion_ci(method="wilson")
    assert ours.value == hits / n
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert ours.n == n


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_agrees_with_a_published_table(hits: int, n: int, low: float, high: float) -> None:
    """Newcombe (1998), Two-sided confidence intervals for the single proportion, table I."""
    ours = wilson(hits, n)
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=5e-5)


def test_wilson_never_leaves_the_unit_interval_and_holds_its_value() -> None:
    for n in (1, 2, 7, 139):
        for hits in range(n + 1):
            one = wilson(hits, n)
            assert 0 <= one.low <= one.value <= one.high <= 1
            assert one.high - one.low > 0


def test_wilson_without_trials_knows_nothing() -> None:
    one = wilson(0, 0)
    assert not one.known
    assert isnan(one.low)
    assert isnan(one.high)


def test_wilson_covers_the_truth_19_times_out_of_20() -> None:
    """Exact coverage, averaged over true shares: Wilson's is near its level, Wald's far below."""
    n = 46
    hits = np.arange(n + 1)
    ends = [wilson(int(h), n) for h in hits]
    low = np.array([e.low for e in ends])
    high = np.array([e.high for e in ends])
    shares = np.linspace(0.8, 0.995, 400)[:, np.newaxis]
    inside = (low <= shares) & (shares <= high)
    coverage = (binom.pmf(hits, n, shares) * inside).sum(axis=1)
    assert 0.94 < coverage.mean() < 0.97
    assert coverage.min() > 0.82


def test_bootstrap_takes_the_percentiles() -> None:
    one = bootstrap(0.5, np.linspace(0, 1, 2001), n=7)
    assert (one.low, one.high) == pytest.approx((0.025, 0.975))
    assert one.n == 7
    assert "2,001 resamples" in one.method


def test_bootstrap_holds_its_value() -> None:
    one = bootstrap(1.0, np.full(100, 1 - 1e-12), n=7)
    assert one.low <= one.value <= one.high


def test_average_of_equal_parts_shrinks_with_the_root_of_their_number() -> None:
    part = wilson(70, 100)
    whole = average([part] * 4)
    assert whole.value == pytest.approx(0.7)
    assert whole.value - whole.low == pytest.approx((part.value - part.low) / 2)
    assert whole.high - whole.value == pytest.approx((part.high - part.value) / 2)
    assert whole.n == 400


def test_widened_is_the_union() -> None:
    one = widened(bootstrap(0.9, np.full(10, 0.9), 5), wilson(9, 10), "because")
    assert (one.low, one.high) == (wilson(9, 10).low, wilson(9, 10).high)
    assert one.method.endswith(", because")


@pytest.mark.parametrize(("value", "m", "n"), [(0.8, 30, 30), (0.97, 46, 93), (0.5, 5, 200)])
def test_newcombe_bounds_solve_their_equation(value: float, m: int, n: int) -> None:
    one = newcombe_auc(value, m, n)
    star = (m + n) / 2 - 1
    for theta in (one.low, one.high):
        spread = 1 + star * (1 - theta) / (2 - theta) + star * theta / (1 + theta)
        error = sqrt(theta * (1 - theta) * spread / (m * n))
        assert abs(theta - value) == pytest.approx(1.959964 * error, rel=1e-5)
    assert one.low < value < one.high


def test_newcombe_has_a_width_at_the_ends() -> None:
    perfect = newcombe_auc(1.0, 46, 93)
    assert perfect.high == 1
    assert 0.9 < perfect.low < 0.99
    hopeless = newcombe_auc(0.0, 46, 93)
    assert hopeless.low == 0
    assert hopeless.high == pytest.approx(1 - perfect.low)
    assert newcombe_auc(1.0, 1, 1).low < 0.3


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
    ],
)
def test_newcombe_difference_agrees_with_a_published_table(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    """Newcombe (1998), Interval estimation for the difference, table II, method 10."""
    ours = newcombe_difference(wilson(*one), wilson(*other))
    assert ours.value == pytest.approx(one[0] / one[1] - other[0] / other[1])
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=6e-5)
    assert ours.n == one[1] + other[1]


@pytest.mark.parametrize(("b", "c", "n"), [(5, 0, 139), (0, 9, 139), (40, 20, 160), (1, 7, 21)])
def test_tango_bounds_solve_the_score_test(b: int, c: int, n: int) -> None:
    """The likeliest share of c under a given difference, found here by search, not by formula."""
    ours = tango(b, c, n)
    assert ours.value == (b - c) / n
    for delta in (ours.low, ours.high):

        def unlikelihood(q: float, delta: float = delta) -> float:
            shares = (q + delta, q, 1 - 2 * q - delta)
            return -sum(k * log(p) for k, p in zip((b, c, n - b - c), shares, strict=True) if k)

        q = minimize_scalar(
            unlikelihood,
            bounds=(max(0.0, -delta) + 1e-12, (1 - delta) / 2 - 1e-12),
            method="bounded",
            options={"xatol": 1e-11},
        ).x
        error = sqrt((2 * q + delta * (1 - delta)) / n)
        assert abs((b - c) / n - delta) == pytest.approx(1.959964 * error, rel=1e-4)


def test_tango_leaves_out_nothing_exactly_where_mcnemar_rejects() -> None:
    for b in range(30):
        for c in range(30):
            ours = tango(b, c, 80)
            assert -1 <= ours.low <= ours.value <= ours.high <= 1
            rejected = (b - c) ** 2 > 1.959964**2 * (b + c)
            assert (ours.low > 0 or ours.high < 0) == rejected


def test_tango_has_a_width_at_the_ends() -> None:
    z = 1.959964
    none = tango(0, 0, 100)
    assert (none.low, none.high) == pytest.approx((-(z**2) / (100 + z**2), z**2 / (100 + z**2)))
    assert tango(10, 0, 10).high == 1
    assert 0 < tango(10, 0, 10).low < 0.9
    assert tango(0, 10, 10).low == -1


@pytest.mark.parametrize(("p_b", "p_c"), [(0.05, 0.02), (0.1, 0.1), (0.3, 0.05), (0.02, 0.02)])
def test_tango_covers_the_truth_19_times_out_of_20(p_b: float, p_c: float) -> None:
    """Exact coverage over all tables of 60 images."""
    n, inside = 60, 0.0
    for b in range(n + 1):
        for c in range(n + 1 - b):
            weight = multinomial.pmf([b, c, n - b - c], n, [p_b, p_c, 1 - p_b - p_c])
            if weight > 1e-6:
                ours = tango(b, c, n)
                inside += weight * (ours.low <= p_b - p_c <= ours.high)
    assert 0.935 < inside < 0.99
