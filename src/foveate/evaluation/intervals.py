"""Confidence intervals: how far a measure may be off, given how few images it rests on.

Shares of right answers get Wilson's interval, which is closed and good at any n and any share. The
difference of two shares gets Newcombe's where they are of different images, Tango's where they are
of the same ones. Averages over labels get a percentile bootstrap that resamples images within each
label; areas under the ROC curve have their own (`auc`). Where resampling sees no spread because
nothing (or everything) went wrong, the interval is widened by one that does not depend on spread,
and `method` says so.

A bootstrap of counts (`resampled_difference`, `resampled_average`) is too narrow where few images
are wrong: its 95 % intervals then cover the truth about 90 % of the time, and less where labels
have few images. So before it draws, half an image is added to each kind of answer, shared out among
the labels: Jeffreys' prior. A whole image, as Bonett and Price add, would cover too often.

Sources:
    Agresti, A. and Min, Y. (2005). Simple improved confidence intervals for comparing matched
        proportions. Statistics in Medicine 24, 729-740 (half an image in each cell).
    Bonett, D. G. and Price, R. M. (2012). Adjusted Wald confidence interval for a difference of
        binomial proportions based on paired data. Journal of Educational and Behavioral
        Statistics 37, 479-488.
    Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference.
        JASA 22, 209-212.
    Efron, B. and Tibshirani, R. (1993). An Introduction to the Bootstrap, chapter 13.
    Newcombe, R. G. (1998). Interval estimation for the difference between independent
        proportions. Statistics in Medicine 17, 873-890 (method 10, here for an average, too).
    Tango, T. (1998). Equivalence test and confidence interval for the difference in proportions
        for the paired-sample design. Statistics in Medicine 17, 891-908.
    Newcombe, R. G. (2006). Confidence intervals for an effect size measure based on the
        Mann-Whitney statistic, part 2. Statistics in Medicine 25, 559-573 (method 5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import hypot, isnan, nan, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
"""Confidence level of every interval that foveate reports."""

_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)

_ADDED = 0.5
"""Images added to each kind of answer before a bootstrap of counts draws."""


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


def clustered(
    hits: NDArray[np.int64],
    counts: NDArray[np.int64],
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
) -> Estimate:
    """The share of hits among trials that are alike within clusters, as images of a place are.

    Whole clusters are drawn. Where they show less spread than independent trials would, which few
    clusters may do by luck, Wilson's interval widens it.

    Args:
        hits: (k,) number of hits in each cluster.
        counts: (k,) number of trials in each, at least 1.
        rng: draws the clusters.
        resamples: number of draws.
    """
    whole = wilson(int(hits.sum()), int(counts.sum()))
    drawn = rng.integers(len(hits), size=(resamples, len(hits)))
    shares = hits[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    interval = bootstrap(whole.value, shares, whole.n)
    return replace(
        interval,
        low=min(interval.low, whole.low),
        high=max(interval.high, whole.high),
        method=f"bootstrap of {len(hits)} blocks, {resamples:,} resamples, at least Wilson",
    )


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


def resampled_average(
    hits: NDArray[np.int64], counts: NDArray[np.int64], *, resamples: int, rng: np.random.Generator
) -> Estimate:
    """The unweighted mean over labels of the share of hits, with a bootstrap interval.

    Images are drawn within their label. Where all labels together have no hit, or no miss, Wilson's
    intervals widen it.

    Args:
        hits: (k,) number of hits of each label.
        counts: (k,) number of images of each label, at least 1.
        resamples: number of bootstrap resamples.
        rng: draws them.
    """
    value = float((hits / counts).mean())
    added = _ADDED / len(counts)
    shares = (hits + added) / (counts + 2 * added)
    # Drawing right and wrong answers with replacement within a label is a binomial draw.
    drawn = rng.binomial(counts, shares, (resamples, len(counts)))
    averages = _spread_out(drawn, counts, rng).clip(0, 1)
    estimate = bootstrap(value, averages, int(counts.sum()))
    if 0 < hits.sum() < counts.sum():
        return estimate
    parts = [wilson(int(h), int(n)) for h, n in zip(hits, counts, strict=True)]
    return widened(
        estimate, average(parts), "widened by Wilson’s as no image differs from the rest"
    )


def resampled_difference(
    only_one: NDArray[np.int64],
    only_other: NDArray[np.int64],
    counts: NDArray[np.int64],
    *,
    resamples: int,
    rng: np.random.Generator,
) -> Estimate:
    """The difference of two averages over labels of the same images, with a bootstrap interval.

    Images are drawn within their label, each with both its answers; a single label is all images.
    Where no image tells the two apart, Tango's interval widens it: there would be hardly any width.

    Args:
        only_one: (k,) images of each label that are a hit for the one alone.
        only_other: (k,) images of each label that are a hit for the other alone.
        counts: (k,) images of each label, at least 1.
        resamples: number of bootstrap resamples.
        rng: draws them.
    """
    value = float(((only_one - only_other) / counts).mean())
    added = _ADDED / len(counts)
    unequal = only_one + only_other
    # Four kinds of answer: both right, both wrong, either one alone. It is drawn first how many
    # images tell the two apart, then how many of those speak for the one: the same as drawing
    # images, and where the two change places only the sign changes.
    some = (unequal + 2 * added) / (counts + 4 * added)
    drawn = rng.binomial(counts, some, (resamples, len(counts)))
    drawn_one = rng.binomial(drawn, (only_one + added) / (unequal + 2 * added))
    differences = _spread_out(2 * drawn_one - drawn, counts, rng).clip(-1, 1)
    drawing = "within labels" if len(counts) > 1 else "of images"
    estimate = replace(
        bootstrap(value, differences, int(counts.sum())),
        method=f"paired bootstrap {drawing}, {resamples:,} resamples",
    )
    if unequal.any():
        return estimate
    parts = [tango(0, 0, int(n)) for n in counts]
    return widened(estimate, average(parts, least=-1.0), "widened by Tango’s as none differs")


def _spread_out(
    drawn: NDArray[np.int64], counts: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """(b,) averages of (b, k) drawn numbers as shares of `counts`, spread evenly over their steps.

    Otherwise the ends of an interval could only be whole numbers of images: with few of them, it
    would cover the truth too often or too rarely, as the truth is such a number or is not.
    """
    spread: NDArray[np.float64] = ((drawn + rng.uniform(-0.5, 0.5, drawn.shape)) / counts).mean(
        axis=1
    )
    return spread


def average(parts: Sequence[Estimate], *, least: float = 0.0) -> Estimate:
    """The unweighted mean of independent estimates, their intervals combined.

    The distances from value to bound add up in squares on each side (Newcombe 1998, method 10).

    Args:
        parts: at least one.
        least: the least that the measure can be; the most is 1.
    """
    k = len(parts)
    value = sum(part.value for part in parts) / k
    below = sqrt(sum((part.value - part.low) ** 2 for part in parts)) / k
    above = sqrt(sum((part.high - part.value) ** 2 for part in parts)) / k
    n = sum(part.n for part in parts)
    return Estimate(value, max(value - below, least), min(value + above, 1.0), n, "combined")


def newcombe_difference(one: Estimate, other: Estimate) -> Estimate:
    """The difference `one` - `other` of two shares of different images, each with its interval.

    Newcombe (1998), method 10: the distances from value to bound of Wilson's intervals add up in
    squares.

    Args:
        one: the share to take from, as `wilson` gives it.
        other: the share that is taken away, as `wilson` gives it.
    """
    value = one.value - other.value
    below = hypot(one.value - one.low, other.high - other.value)
    above = hypot(one.high - one.value, other.value - other.low)
    n = one.n + other.n
    return Estimate(value, max(value - below, -1.0), min(value + above, 1.0), n, "Newcombe")


def tango(only_one: int, only_other: int, n: int) -> Estimate:
    """The difference of two shares of hits among the same n images, with Tango's interval (1998).

    The interval holds all differences δ that a score test does not reject: those with
    (b - c - nδ)² ≤ z² n (2q + δ(1 - δ)), q being the likeliest share of c for that δ. At δ = 0 this
    is McNemar's test. It has a width where no image, or every image, tells the two apart.

    Args:
        only_one: b, images that are a hit for the one alone.
        only_other: c, images that are a hit for the other alone.
        n: all images, at least 1 and at least b + c.
    """
    surplus, unequal = only_one - only_other, only_one + only_other
    value = surplus / n

    def excess(delta: float) -> float:
        linear = (2 * n - surplus) * delta - unequal
        constant = -only_other * delta * (1 - delta)
        root = sqrt(max(linear**2 - 8 * n * constant, 0.0))
        likeliest = (root - linear) / (4 * n)
        variance = n * (2 * likeliest + delta * (1 - delta))
        return (surplus - n * delta) ** 2 - _Z**2 * variance

    return Estimate(value, _bound(excess, value, -1.0), _bound(excess, value, 1.0), n, "Tango")


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

    low, high = _bound(excess, value, 0.0), _bound(excess, value, 1.0)
    return Estimate(value, low, high, positives + negatives, "Newcombe")


def _bound(excess: Callable[[float], float], inner: float, outer: float) -> float:
    """Where `excess` turns positive on the way from `inner` to `outer`; `outer` if it does not."""
    if excess(outer) <= 0:
        return outer
    for _ in range(60):
        middle = (inner + outer) / 2
        if excess(middle) > 0:
            outer = middle
        else:
            inner = middle
    return (inner + outer) / 2
