"""Tests of foveate.evaluation.intervals."""

from __future__ import annotations

from math import isnan, log, sqrt
from time import process_time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest, multinomial

from foveate.evaluation.intervals import (
    Estimate,
    average,
    bootstrap,
    clustered,
    newcombe_auc,
    newcombe_difference,
    resampled_average,
    resampled_difference,
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


def test_tango_agrees_with_a_published_example() -> None:
    """Fagerland, Lydersen and Laake (2014), Recommended tests and confidence intervals for paired
    binomial proportions, Statistics in Medicine 33, 2850-2875: airways of 21 children.
    """
    ours = tango(1, 7, 21)
    assert (ours.low, ours.high) == pytest.approx((-0.517, -0.026), abs=5e-4)


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


LABELS = st.lists(
    st.integers(1, 60).flatmap(
        lambda n: st.integers(0, n).flatmap(
            lambda one: st.tuples(st.just(one), st.integers(0, n - one), st.just(n))
        )
    ),
    min_size=1,
    max_size=5,
)


def drawn_difference(rows: list[tuple[int, int, int]], seed: int = 0) -> Estimate:
    only_one, only_other, counts = np.array(rows).T
    rng = np.random.default_rng(seed)
    return resampled_difference(only_one, only_other, counts, resamples=400, rng=rng)


@given(LABELS)
def test_what_always_holds_of_a_resampled_difference(rows: list[tuple[int, int, int]]) -> None:
    one = drawn_difference(rows)
    assert -1 <= one.low <= one.value <= one.high <= 1
    assert one.low < one.high
    assert one.n == sum(n for _, _, n in rows)
    assert one.value == pytest.approx(np.mean([(b - c) / n for b, c, n in rows]))


@given(LABELS)
def test_the_order_of_the_two_changes_only_the_sign(rows: list[tuple[int, int, int]]) -> None:
    one, other = drawn_difference(rows), drawn_difference([(c, b, n) for b, c, n in rows])
    assert other.value == pytest.approx(-one.value)
    # The ends are drawn; where as many speak for the one as for the other, not in mirror image.
    width = one.high - one.low
    assert other.low == pytest.approx(-one.high, abs=0.3 * width)
    assert other.high == pytest.approx(-one.low, abs=0.3 * width)


def test_a_resampled_difference_is_that_of_drawn_images() -> None:
    """The same interval from drawing rows, with the half images that are added, one by one."""
    only_one, only_other, counts = np.array([9, 4]), np.array([3, 4]), np.array([90, 40])
    ours = resampled_difference(
        only_one, only_other, counts, resamples=20_000, rng=np.random.default_rng(0)
    )
    rng = np.random.default_rng(1)
    means = np.zeros(20_000)
    for b, c, n in zip(only_one, only_other, counts, strict=True):
        shares = np.array([b + 0.25, c + 0.25, n - b - c + 0.5]) / (n + 1)
        answers = rng.choice([1, -1, 0], size=(20_000, n), p=shares)
        means += answers.mean(axis=1) / 2
    assert (ours.low, ours.high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.004)
    assert ours.method == "paired bootstrap within labels, 20,000 resamples"


def test_a_resampled_difference_has_a_width_where_nothing_differs() -> None:
    one = drawn_difference([(0, 0, 100)])
    assert (one.low, one.high) == pytest.approx((tango(0, 0, 100).low, tango(0, 0, 100).high))
    assert (
        one.method
        == "paired bootstrap of images, 400 resamples, widened by Tango’s as none differs"
    )
    three = drawn_difference([(0, 0, 100)] * 3)
    assert three.low == pytest.approx(tango(0, 0, 100).low / sqrt(3))


def test_ten_thousand_images_are_resampled_at_once() -> None:
    """2,000 resamples of 10,000 images: counts are drawn, not rows."""
    rng = np.random.default_rng(0)
    counts = np.full(100, 100)
    started = process_time()
    resampled_difference(counts // 20, counts // 30, counts, resamples=2000, rng=rng)
    assert process_time() - started < 1


@given(LABELS)
def test_what_always_holds_of_a_resampled_average(rows: list[tuple[int, int, int]]) -> None:
    hits, _, counts = np.array(rows).T
    one = resampled_average(hits, counts, resamples=200, rng=np.random.default_rng(0))
    assert 0 <= one.low <= one.value <= one.high <= 1
    assert one.low < one.high
    assert one.value == pytest.approx((hits / counts).mean())


def test_a_resampled_average_agrees_with_its_standard_error() -> None:
    hits, counts = np.array([40, 80, 90]), np.array([50, 100, 120])
    one = resampled_average(hits, counts, resamples=20_000, rng=np.random.default_rng(0))
    shares = hits / counts
    error = sqrt((shares * (1 - shares) / counts).sum()) / 3
    assert one.high - one.low == pytest.approx(2 * 1.96 * error, rel=0.03)


def test_a_resampled_average_of_hits_alone_is_not_certain() -> None:
    one = resampled_average(
        np.array([5, 5]), np.array([5, 5]), resamples=400, rng=np.random.default_rng(0)
    )
    assert one.high == 1
    assert one.low == pytest.approx(average([wilson(5, 5)] * 2).low)
    assert "widened by Wilson’s" in one.method


def test_clusters_that_are_alike_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    alike = clustered(np.array([50, 0, 50, 50, 0, 50]), np.full(6, 50), rng=rng)
    assert alike.value == pytest.approx(2 / 3)
    assert alike.n == 300
    assert alike.high - alike.low > 3 * (wilson(200, 300).high - wilson(200, 300).low)


def test_clusters_never_narrow_it() -> None:
    even = clustered(np.full(6, 40), np.full(6, 50), rng=np.random.default_rng(0))
    assert (even.low, even.high) == (wilson(240, 300).low, wilson(240, 300).high)


def test_the_interval_of_clusters_covers_the_truth() -> None:
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(300):
        of_block = rng.beta(8, 2, size=30)  # mean 0.8
        found = clustered(rng.binomial(40, of_block), np.full(30, 40), rng=rng, resamples=400)
        covered += found.low <= 0.8 <= found.high
    assert 0.9 <= covered / 300 <= 0.98
