"""Tests of foveate.aerial.change.noise: imagined pairs of years whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveate.aerial.change.noise import LEAST, Expected, Year, expected_changes

K = 4


def errors(rng: np.random.Generator, right: float) -> NDArray[np.float64]:
    """(K, K) how often each label is called by each."""
    wrong = rng.dirichlet(np.ones(K), K) * (1 - np.eye(K))
    wrong /= wrong.sum(axis=1, keepdims=True)
    return right * np.eye(K) + (1 - right) * wrong


def called(
    rows: NDArray[np.float64], truth: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """What a classifier with these errors says."""
    draws = rng.random(len(truth))[:, None]
    return (draws > rows.cumsum(axis=1)[truth][:, :-1]).sum(axis=1)


def year(
    rows: NDArray[np.float64],
    truth: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    known: float = 0.0,
    others: int = 0,
) -> Year:
    """A year in which the label of a share of the tiles is known, and of some other tiles."""
    top = called(rows, truth, rng)
    shares = np.bincount(truth, minlength=K) / len(truth)
    # Probabilities that can be taken at their word.
    joint = shares[:, None] * rows
    soft = joint / joint.sum(axis=0) * np.bincount(top, minlength=K)
    beyond = np.zeros((K, K), np.int64)
    labels = rng.integers(0, K, others)
    np.add.at(beyond, (labels, called(rows, labels, rng)), 1)
    seen = np.where(rng.random(len(truth)) < known, truth, -1)
    return Year(top, seen, soft, beyond)


def imagined(
    seed: int, *, n: int = 2000, right: float = 0.85, known: float = 0.0, others: int = 0
) -> tuple[Year, Year, NDArray[np.int64]]:
    """Two years without change."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(K, n, p=rng.dirichlet(np.full(K, 3.0)))
    a, b = (
        year(errors(rng, right - less), truth, rng, known=known, others=others)
        for less in (0.0, 0.03)
    )
    return a, b, truth


def changed(a: Year, b: Year) -> int:
    return int((a.top != b.top).sum())


def anything() -> NDArray[np.bool_]:
    return ~np.eye(K, dtype=bool)


def share_inside(repeats: int, **how: float) -> tuple[float, float]:
    """How often the seen number of changes, and of the last label, lies in its interval."""
    to_last = np.zeros((K, K), bool)
    to_last[:-1, -1] = True
    hits = []
    for seed in range(repeats):
        a, b, _ = imagined(seed, **how)
        expected = expected_changes(a, b, draws=300, seed=seed)
        one, other = expected.among(anything()), expected.among(to_last)
        new = int(((b.top == K - 1) & (a.top != K - 1)).sum())
        hits.append((one.low <= changed(a, b) <= one.high, other.low <= new <= other.high))
    inside = np.mean(hits, axis=0)
    return float(inside[0]), float(inside[1])


def test_the_expected_numbers_are_those_of_the_formula() -> None:
    a, b, truth = imagined(1, known=1.0)
    expected = expected_changes(a, b)
    by_hand = np.zeros((K, K))
    for k in range(K):
        mine = truth == k
        p_a = np.bincount(a.top[mine], minlength=K) / mine.sum()
        p_b = np.bincount(b.top[mine], minlength=K) / mine.sum()
        by_hand += mine.sum() * np.outer(p_a, p_b)
    np.testing.assert_allclose(expected.matrix, by_hand)
    np.testing.assert_allclose(expected.truth, np.bincount(truth, minlength=K))
    assert expected.measured == (True, True)
    assert expected.references == (2000, 2000)


def test_the_truth_is_estimated_from_what_was_called() -> None:
    a, b, truth = imagined(2, n=20_000, others=20_000)
    np.testing.assert_allclose(
        expected_changes(a, b).truth, np.bincount(truth, minlength=K), atol=0.02 * 20_000
    )


def test_without_change_the_seen_number_lies_inside_about_95_of_100_times() -> None:
    inside, new = share_inside(60, others=400)
    assert inside >= 0.88
    assert new >= 0.86


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "most"),
    [
        ({"others": 400}, 0.99),  # errors measured elsewhere
        ({"known": 1.0}, 0.99),  # errors measured on the very tiles that are compared
        ({"known": 0.3}, 0.99),  # on some of them
        ({}, 1.0),  # from the probabilities, with nothing to measure: it may be too wide
    ],
)
def test_the_interval_keeps_its_promise(how: dict[str, float], most: float) -> None:
    inside, new = share_inside(150, **how)
    # 150 repeats of a true 95 % (93 % where the very tiles are known) are hardly ever below.
    assert 0.88 <= inside <= most
    assert new >= 0.86


def test_real_change_lies_above() -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, K, 2000)
        later = truth.copy()
        later[:500] = K - 1
        a, b = (year(errors(rng, 0.93), one, rng, others=1600) for one in (truth, later))
        expected = expected_changes(a, b, draws=300).among(anything())
        real = int((truth != later).sum())
        assert changed(a, b) > expected.high
        # What is above the interval is no more than there really is.
        assert 0 < changed(a, b) - expected.high <= real


def test_errors_that_both_years_share_make_it_an_upper_figure() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, K, 2000)
    a = year(errors(rng, 0.8), truth, rng, known=1.0)
    expected = expected_changes(a, a, draws=300).among(anything())
    assert changed(a, a) == 0 < expected.low


def test_a_classifier_that_never_erred_yet_may_err() -> None:
    truth = np.repeat(np.arange(K), 500)
    right = Year(truth, np.full(2000, -1), 500.0 * np.eye(K), 40 * np.eye(K, dtype=np.int64))
    expected = expected_changes(right, right, draws=500).among(anything())
    assert expected.value == pytest.approx(0, abs=0.1)
    assert expected.low == pytest.approx(0, abs=0.1)
    assert 10 < expected.high < 400


def test_more_reference_tiles_make_it_narrower() -> None:
    widths = []
    for others in (200, 20_000):
        a, b, _ = imagined(5, others=others)
        one = expected_changes(a, b, draws=300).among(anything())
        widths.append(one.high - one.low)
    assert widths[1] < 0.6 * widths[0]


def test_too_few_known_tiles_leave_it_to_the_probabilities() -> None:
    a, b, _ = imagined(6, others=LEAST)
    assert expected_changes(a, b, draws=200).measured == (False, False)
    _, measured, _ = imagined(6, others=100 * LEAST)
    one = expected_changes(a, measured, draws=200)
    assert one.measured == (False, True)
    assert one.references[0] == 0 < one.references[1]


def test_a_rare_label_without_known_tiles_is_filled_up_by_the_probabilities() -> None:
    rng = np.random.default_rng(7)
    truth = rng.choice(K, 4000, p=[0.5, 0.3, 0.197, 0.003])
    a = year(errors(rng, 0.98), truth, rng, known=1.0)
    rare = a.confusion.sum(axis=1)[-1]
    assert 0 < rare < LEAST
    top = np.where(a.top == K - 1, 0, a.top)  # called hardly ever
    top[:12] = K - 1
    a = Year(top, np.where(a.known == K - 1, -1, a.known), a.soft, a.others)
    assert a.measured
    soft = a.soft[-1] / a.soft[-1].sum()
    np.testing.assert_allclose(a.rows[-1], soft, atol=0.01)


def test_labels_known_to_have_changed_do_not_count_as_unchanged() -> None:
    a, b, truth = imagined(8, known=1.0)
    contradicted = b.known.copy()
    contradicted[:300] = (contradicted[:300] + 1) % K
    expected = expected_changes(a, Year(b.top, contradicted, b.soft, b.others), draws=200)
    assert expected.truth.sum() == pytest.approx(len(truth))
    assert expected.matrix.sum() == pytest.approx(len(truth))


def test_the_seed_alone_decides() -> None:
    a, b, _ = imagined(9, known=0.4)

    def ends(seed: int) -> tuple[float, float]:
        found = expected_changes(a, b, draws=200, seed=seed).among(anything())
        return found.low, found.high

    assert ends(1) == ends(1) != ends(2)


@given(
    seed=st.integers(0, 1000),
    n=st.integers(1, 60),
    known=st.sampled_from([0.0, 0.5, 1.0]),
    others=st.sampled_from([0, 200]),
)
def test_every_tile_goes_somewhere(seed: int, n: int, known: float, others: int) -> None:
    a, b, _ = imagined(seed, n=n, known=known, others=others)
    expected = expected_changes(a, b, draws=200, seed=seed)
    assert isinstance(expected, Expected)
    assert expected.matrix.sum() == pytest.approx(n)
    assert expected.truth.sum() == pytest.approx(n)
    assert (expected.matrix >= 0).all()
    # Seen and expected numbers of all pairs are both n, so nothing is left between them.
    np.testing.assert_allclose(expected.draws.sum(axis=(1, 2)), 0, atol=0.01)
    every = expected.among(np.ones((K, K), bool))
    assert every.low == pytest.approx(n) == every.high
    some = expected.among(anything())
    assert 0 <= some.low <= some.value <= some.high <= n
