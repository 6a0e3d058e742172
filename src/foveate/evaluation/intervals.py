"""Confidence intervals: how far a measure may be off, given how few images it rests on.

Shares of right answers get Wilson's interval, which is closed and good at any n and any share.
Averages over labels and areas under the ROC curve get a percentile bootstrap that resamples
images within each label. Where resampling sees no spread because nothing (or everything) went
wrong, the interval is widened by one that does not depend on spread, and `method` says so.

Sources:
    Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference.
        JASA 22, 209-212.
    Efron, B. and Tibshirani, R. (1993). An Introduction to the Bootstrap, chapter 13.
    Newcombe, R. G. (1998). Interval estimation for the difference between independent
        proportions. Statistics in Medicine 17, 873-890 (method 10, here for an average).
    Newcombe, R. G. (2006). Confidence intervals for an effect size measure based on the
        Mann-Whitney statistic, part 2. Statistics in Medicine 25, 559-573 (method 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan, nan, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
"""Confidence level of every interval that foveate reports."""

_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measure with its 95 % confidence interval.

    Attributes:
        value: the measure; NaN where no image says anything about it.
        low: lower end of the interval, NaN where `value` is.
        high: upper end of the interval, NaN where `value` is.
        n: the number of images it rests on.
        method: how the interval was made, in words for a reader.
    """

    value: float
    low: float
    high: float
    n: int
    method: str

    @property
    def known(self) -> bool:
        """Whether any image says something about the measure."""
        return not isnan(self.value)


def wilson(hits: int, n: int) -> Estimate:
    """The share of hits among n independent trials, with Wilson's score interval (1927).

    Args:
        hits: number of hits, 0 to n.
        n: number of trials; with none, value and interval are NaN.
    """
    if n == 0:
        return unknown("Wilson")
    share = hits / n
    scale = 1 + _Z**2 / n
    centre = (share + _Z**2 / (2 * n)) / scale
    half = _Z / scale * sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    # The formula touches 0 and 1 exactly, floating point only nearly.
    low = 0.0 if hits == 0 else centre - half
    high = 1.0 if hits == n else centre + half
    return Estimate(share, low, high, n, "Wilson")


def unknown(method: str) -> Estimate:
    """The estimate that rests on no image."""
    return Estimate(nan, nan, nan, 0, method)


def bootstrap(value: float, resampled: NDArray[np.float64], n: int) -> Estimate:
    """Percentile interval of a measure that was computed again on resampled images.

    Args:
        value: the measure on the images themselves.
        resampled: (b,) float64, the measure on each of b resamples.
        n: number of images.
    """
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    method = f"bootstrap within labels, {len(resampled):,} resamples"
    # Rounding must not put the value itself outside.
    return Estimate(value, min(float(low), value), max(float(high), value), n, method)


def average(parts: Sequence[Estimate]) -> Estimate:
    """The unweighted mean of independent estimates, their intervals combined.

    The distances from value to bound add up in squares on each side (Newcombe 1998, method 10).
    """
    k = len(parts)
    value = sum(part.value for part in parts) / k
    below = sqrt(sum((part.value - part.low) ** 2 for part in parts)) / k
    above = sqrt(sum((part.high - part.value) ** 2 for part in parts)) / k
    n = sum(part.n for part in parts)
    return Estimate(value, max(value - below, 0.0), min(value + above, 1.0), n, "combined")


def widened(estimate: Estimate, other: Estimate, why: str) -> Estimate:
    """The union of two intervals of the same measure; `why` joins the method."""
    return replace(
        estimate,
        low=min(estimate.low, other.low),
        high=max(estimate.high, other.high),
        method=f"{estimate.method}, {why}",
    )


def newcombe_auc(value: float, positives: int, negatives: int) -> Estimate:
    """An interval for an area under the ROC curve from the area and the counts alone.

    Newcombe (2006), method 5: all θ with |θ - value| ≤ z √V(θ), V being Hanley and McNeil's
    variance with m* = n* = (m + n) / 2 - 1. Unlike the bootstrap it has a width even where the
    scores separate the labels without an error.

    Args:
        value: area under the ROC curve, in [0, 1].
        positives: m, at least 1.
        negatives: n, at least 1.
    """
    star = (positives + negatives) / 2 - 1

    def excess(theta: float) -> float:
        spread = 1 + star * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        variance = theta * (1 - theta) * spread / (positives * negatives)
        return (theta - value) ** 2 - _Z**2 * variance

    def bound(outer: float) -> float:
        inner = value
        if excess(outer) <= 0:
            return outer
        for _ in range(60):
            middle = (inner + outer) / 2
            if excess(middle) > 0:
                outer = middle
            else:
                inner = middle
        return (inner + outer) / 2

    n = positives + negatives
    return Estimate(value, bound(0.0), bound(1.0), n, "Newcombe")
