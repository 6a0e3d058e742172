"""Whether one classifier is better than another, when both answered for the same images.

Only images on which they disagree tell them apart, and chance deals those out like a fair coin if
neither is better: McNemar's test, here in its exact form, which never rejects too often. The
difference has Tango's interval, which inverts the same test's score. A bootstrap would have no
width where they agree on every image, and is too narrow where they disagree on a few.

The exact test is the more cautious of the two: close to the limit the interval may leave out 0
while the test does not yet say that there is a difference. `Comparison.sentence` then says both.

Sources:
    McNemar, Q. (1947). Note on the sampling error of the difference between correlated
        proportions or percentages. Psychometrika 12, 153-157.
    Dietterich, T. G. (1998). Approximate statistical tests for comparing supervised classification
        learning algorithms. Neural Computation 10, 1895-1923 (why this test for two classifiers).
    Tango (1998), see `intervals`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foveate.evaluation.intervals import LEVEL, Estimate, tango, wilson

_RARE = round(1 - LEVEL, 9)
"""A probability below which chance is not believed in; 0.05."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two classifiers, a and b, on the same n images.

    Attributes:
        accuracy_a: share of right answers of a, Wilson interval.
        accuracy_b: share of right answers of b, Wilson interval.
        difference: accuracy of a less that of b, in [-1, 1], Tango interval.
        only_a: images that a alone got right.
        only_b: images that b alone got right.
        p: how probable such an imbalance of `only_a` and `only_b`, or a greater one to either
            side, is if neither is better: McNemar's exact two-sided p.
    """

    accuracy_a: Estimate
    accuracy_b: Estimate
    difference: Estimate
    only_a: int
    only_b: int
    p: float

    @property
    def n(self) -> int:
        """The number of images."""
        return self.difference.n

    @property
    def distinguishable(self) -> bool:
        """Whether chance alone would rarely make such a difference: p < 0.05."""
        return self.p < _RARE

    def sentence(self, name_a: str, name_b: str) -> str:
        """What came out, in plain words; differences in points, that is, per cent of the images.

        Args:
            name_a: what to call a; the sentence begins with it.
            name_b: what to call b.
        """
        one = self.difference
        if not self.only_a and not self.only_b:
            return (
                f"{name_a} and {name_b} are right on the same images, so they are not "
                f"distinguishable with {_images(self.n)}; the difference is 0.0 points "
                f"({_points(one.low)} to {_points(one.high)})."
            )
        low, high = one.low, one.high
        if one.value < 0:
            low, high = -high, -low
        which = "worse" if one.value < 0 else "better"
        amount = f"{_points(abs(one.value))} points ({_points(low)} to {_points(high)})"
        if self.distinguishable:
            return (
                f"{name_a} is {which} than {name_b} by {amount}; chance alone would rarely do "
                f"this (McNemar {_p(self.p)}, n = {self.n:,})."
            )
        if low > 0:
            return (
                f"{name_a} may be {which} than {name_b} by {amount}, but with "
                f"{_images(self.n)} chance alone could still do this (McNemar {_p(self.p)})."
            )
        return (
            f"{name_a} is not distinguishable from {name_b} with {_images(self.n)}; the "
            f"difference is {_points(one.value)} points ({_points(one.low)} to "
            f"{_points(one.high)}; McNemar {_p(self.p)})."
        )


def compare_paired(right_a: NDArray[np.bool_], right_b: NDArray[np.bool_]) -> Comparison:
    """Compare two classifiers by their answers for the same images.

    Args:
        right_a: (n,) whether a is right about each image, n ≥ 1.
        right_b: (n,) whether b is right about the same images, in the same order.

    Raises:
        ValueError: not two equally long lists of at least one answer.
    """
    a, b = np.asarray(right_a, bool), np.asarray(right_b, bool)
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        raise ValueError(f"cannot compare answers of shape {a.shape} with those of {b.shape}")
    n, only_a, only_b = len(a), int((a & ~b).sum()), int((b & ~a).sum())
    return Comparison(
        accuracy_a=wilson(int(a.sum()), n),
        accuracy_b=wilson(int(b.sum()), n),
        difference=tango(only_a, only_b, n),
        only_a=only_a,
        only_b=only_b,
        p=_mcnemar(only_a, only_b),
    )


def _mcnemar(only_a: int, only_b: int) -> float:
    """Twice the tail of a fair coin thrown once for each image that tells the two apart."""
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def _points(share: float) -> str:
    # Adding 0 takes the sign from a rounded −0.
    return f"{round(100 * share, 1) + 0.0:.1f}".replace("-", "−")


def _p(p: float) -> str:
    if p < 0.001:
        return "p < 0.001"
    # Rounding must not put p on the limit that it is below or above.
    return f"p = {p:.4f}" if f"{p:.3f}" == f"{_RARE:.3f}" else f"p = {p:.3f}"


def _images(n: int) -> str:
    return f"{n:,} test image{'' if n == 1 else 's'}"
