"""How well a candidate does in cross-validation, image by image.

All candidates are judged on the same training images, so two of them are compared image by image:
what is hard about an image is hard for both and drops out. Near duplicates are not independent of
each other; they count as one.

Sources:
    Dietterich, T. G. (1998). Approximate statistical tests for comparing supervised classification
        learning algorithms. Neural Computation 10, 1895-1923 (why paired).
    Agresti, A. and Min, Y. (2005). Simple improved confidence intervals for comparing matched
        proportions. Statistics in Medicine 24, 729-740 (half an image added to each of the four
        outcomes, without which two that agree on every image would seem exactly known).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from foveate.evaluation.intervals import LEVEL, Estimate, unknown, wilson

_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """What cross-validation said of a candidate.

    Attributes:
        right: (n,) float32, how often each image was right while held out, in [0, 1]; NaN where
            it was not held out.
        groups: (n,) copies of each other have equal numbers.
        c: the chosen C; None for a forest.
        seconds: what fitting the head took, the search over C included.
    """

    right: NDArray[np.float32]
    groups: NDArray[np.intp]
    c: float | None
    seconds: float

    @property
    def accuracy(self) -> Estimate:
        """Share of the held-out images that were right; n counts copies once (Wilson)."""
        known = ~np.isnan(self.right)
        if not known.any():
            return unknown("Wilson")
        distinct = len(np.unique(self.groups[known]))
        value = float(self.right[known].mean(dtype=np.float64))
        interval = wilson(round(value * distinct), distinct)
        return Estimate(
            value, min(interval.low, value), max(interval.high, value), distinct, "Wilson"
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """The accuracy of one candidate less that of another, on the same images.

    Attributes:
        value: in [-1, 1].
        standard_error: how far chance moves it, over images.
    """

    value: float
    standard_error: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 %."""
        half = _Z * self.standard_error
        return self.value - half, self.value + half


def difference(one: CrossValidation, other: CrossValidation) -> Difference:
    """Compare two candidates by the images that both were judged on.

    Args:
        one: the first, on n images.
        other: the second, on the same images.
    """
    known = ~(np.isnan(one.right) | np.isnan(other.right))
    surplus = one.right[known].astype(np.float64) - other.right[known]
    group = np.unique(one.groups[known], return_inverse=True)[1]
    n, m = len(surplus), int(group.max(initial=-1)) + 1
    if m < 2:
        return Difference(0.0, 1.0)
    value = float(surplus.mean())
    by_group = np.bincount(group, weights=surplus - value)
    spread = float((by_group**2).sum()) * m / (m - 1)
    return Difference(value, sqrt(spread + 1) / (n + 2))
