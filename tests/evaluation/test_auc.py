"""Tests of foveate.evaluation.auc."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from foveate.evaluation.auc import areas_with_intervals
from foveate.evaluation.intervals import newcombe_auc


def drawn(
    counts: tuple[int, ...], strength: float, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    rng = np.random.default_rng(seed)
    known = np.repeat(np.arange(len(counts)), counts)
    scores = rng.normal(size=(len(known), len(counts)))
    scores[np.arange(len(known)), known] += strength
    scores = np.exp(scores)
    return (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32), known


def counted(probabilities: NDArray[np.float32], known: NDArray[np.intp], label: int) -> float:
    """The share of pairs that are in order, one pair after the other."""
    own, others = probabilities[known == label, label], probabilities[known != label, label]
    pairs = [(a > b) + (a == b) / 2 for a in own for b in others]
    return float(np.mean(pairs)) if pairs else float("nan")


def test_the_areas_agree_with_scikit_learn() -> None:
    probabilities, known = drawn((50, 30, 20), 1.0)
    estimates, mean = areas_with_intervals(probabilities, known)
    for label, one in enumerate(estimates):
        assert one.value == pytest.approx(roc_auc_score(known == label, probabilities[:, label]))
        assert one.n == 100
    assert mean.value == pytest.approx(np.mean([one.value for one in estimates]))


def test_ties_count_one_half() -> None:
    probabilities = np.array([[0.5, 0.5], [0.5, 0.5], [0.9, 0.1], [0.5, 0.5]], np.float32)
    known = np.array([0, 1, 0, 1])
    estimates, _ = areas_with_intervals(probabilities, known)
    assert [one.value for one in estimates] == [0.75, 0.75]


def test_the_variance_is_that_of_the_jackknife() -> None:
    """Leaving out one image at a time, of either kind, gives DeLong's variance exactly."""
    probabilities, known = drawn((60, 50), 1.0)
    (one, _), _ = areas_with_intervals(probabilities, known)
    variance = 0.0
    for label in (0, 1):
        rows = np.flatnonzero(known == label)
        left = []
        for row in rows:
            kept = np.arange(len(known)) != row
            left.append(roc_auc_score(known[kept] == 0, probabilities[kept, 0]))
        variance += (len(rows) - 1) * np.var(left)

    def logit(share: float) -> float:
        return float(np.log(share / (1 - share)))

    error = variance**0.5 / (one.value * (1 - one.value))
    assert logit(one.high) - logit(one.low) == pytest.approx(2 * 1.96 * error, rel=0.005)


def test_the_mean_knows_that_areas_rest_on_the_same_images() -> None:
    """Two labels have one and the same curve: their mean is no surer than each of them."""
    probabilities, known = drawn((60, 50), 1.0)
    (one, other), mean = areas_with_intervals(probabilities, known)
    assert one.value == pytest.approx(other.value)
    assert mean.high - mean.low == pytest.approx(one.high - one.low, rel=0.02)


def test_without_an_error_the_interval_is_newcombes() -> None:
    probabilities, known = drawn((46, 46, 47), 30.0)
    estimates, mean = areas_with_intervals(probabilities, known)
    widest = [newcombe_auc(1.0, 46, 93), newcombe_auc(1.0, 46, 93), newcombe_auc(1.0, 47, 92)]
    for one, most in zip(estimates, widest, strict=True):
        assert (one.value, one.low, one.high) == (1, most.low, 1)
    assert (mean.value, mean.high) == (1, 1)
    assert mean.low == pytest.approx(np.mean([most.low for most in widest]))


def test_turned_around_the_interval_is_a_mirror_image() -> None:
    probabilities, known = drawn((30, 30), 2.0)
    (one, _), _ = areas_with_intervals(probabilities, known)
    (other, _), _ = areas_with_intervals(probabilities[:, ::-1], known)
    assert other.value == pytest.approx(1 - one.value)
    assert (other.low, other.high) == pytest.approx((1 - one.high, 1 - one.low), abs=1e-6)


def test_a_single_image_of_a_label_has_newcombes_interval() -> None:
    probabilities, known = drawn((1, 30, 30), 1.0)
    estimates, mean = areas_with_intervals(probabilities, known)
    assert estimates[0] == newcombe_auc(estimates[0].value, 1, 60)
    assert mean.low < mean.value < mean.high
    assert mean.high - mean.low > max(one.high - one.low for one in estimates[1:])


def test_labels_that_no_image_or_every_image_has() -> None:
    probabilities, known = drawn((20, 20), 1.0)
    wider = np.c_[probabilities / 2, np.full(40, 0.5, np.float32)]
    estimates, mean = areas_with_intervals(wider, known)
    assert not estimates[2].known
    assert mean.value == pytest.approx((estimates[0].value + estimates[1].value) / 2)
    alone, none = areas_with_intervals(wider, np.zeros(40, np.intp))
    assert not any(one.known for one in alone)
    assert not none.known


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 10)), min_size=1, max_size=30))
def test_what_always_holds(rows: list[tuple[int, int]]) -> None:
    known = np.array([label for label, _ in rows])
    first = np.array([score for _, score in rows]) / 10
    probabilities = np.c_[first, (1 - first) / 3, 2 * (1 - first) / 3].astype(np.float32)
    estimates, mean = areas_with_intervals(probabilities, known)
    wanted = [counted(probabilities, known, label) for label in range(3)]
    np.testing.assert_allclose([one.value for one in estimates], wanted, atol=1e-6)
    for one in (*estimates, mean):
        assert not one.known or 0 <= one.low <= one.value <= one.high <= 1
        assert not one.known or one.low < one.high
