"""Whether one classifier is better than another, when both answered for the same images.

Only images on which they disagree tell them apart, and chance deals those out like a fair coin if
neither is better: McNemar's test, here in its exact form, which never rejects too often. The
difference has Tango's interval, which inverts the same test's score. A bootstrap would have no
width where they agree on every image, and is too narrow where they disagree on a few.

The exact test is the more cautious of the two: close to the limit the interval may leave out 0
while the test does not yet say that there is a difference. `Comparison.sentence` then says both.

Where several classifiers are compared with one, luck has several chances; `corrected` takes that
back, by Holm's method.

Sources:
    Connor, R. J. (1987). Sample size for testing differences in proportions for the paired-sample
        design. Biometrics 43, 207-211.
    Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal
        of Statistics 6, 65-70.
    McNemar, Q. (1947). Note on the sampling error of the difference between correlated
        proportions or percentages. Psychometrika 12, 153-157.
    Dietterich, T. G. (1998). Approximate statistical tests for comparing supervised classification
        learning algorithms. Neural Computation 10, 1895-1923 (why this test for two classifiers).
    Tango (1998), see `intervals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from foveate.evaluation.intervals import LEVEL, Estimate, tango, wilson

_RARE = round(1 - LEVEL, 9)
"""A probability below which chance is not believed in; 0.05."""

_POWER = 0.8
"""How often a test set of `Comparison.needed` images would show the difference."""

_LEAST_UNEQUAL = 6
"""Images that must tell two classifiers apart before the exact test can say so: 2 / 2⁶ < 0.05."""


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
        tests: how many comparisons are looked at together, this one among them.
        p_holm: p after Holm's correction for as many; `p` itself where there is but one.
    """

    accuracy_a: Estimate
    accuracy_b: Estimate
    difference: Estimate
    only_a: int
    only_b: int
    p: float
    tests: int
    p_holm: float

    @property
    def n(self) -> int:
        """The number of images."""
        return self.difference.n

    @property
    def distinguishable(self) -> bool:
        """Whether chance alone would rarely make such a difference: `p_holm` < 0.05."""
        return self.p_holm < _RARE

    @property
    def needed(self) -> int | None:
        """About how many test images it takes to tell two that differ as these do from each other.

        With so many, McNemar's test would see the difference 4 times in 5 (power 80 %, two-sided
        5 %, shared out among `tests`), if the images were answered as these were. With few of
        them that is a rough guess. None where the difference is 0: no number would be enough.

        The number is ((z₁ √ψ + z₂ √(ψ - δ²)) / δ)², ψ being the share of images that tell the two
        apart, δ the difference, z₁ and z₂ the normal quantiles of 1 - 0.05 / 2 and 0.8 (Connor
        1987, page 209); and at least as many as the exact test needs to say anything.
        """
        if self.only_a == self.only_b:
            return None
        unequal = (self.only_a + self.only_b) / self.n
        difference = abs(self.only_a - self.only_b) / self.n
        sure = NormalDist().inv_cdf(1 - _RARE / self.tests / 2)
        powerful = NormalDist().inv_cdf(_POWER)
        # Where all that tells them apart speaks for one, rounding must not make this negative.
        spread = max(unequal - difference**2, 0.0)
        number = ((sure * sqrt(unequal) + powerful * sqrt(spread)) / difference) ** 2
        return ceil(max(number, _LEAST_UNEQUAL / unequal))

    def sentence(self, name_a: str, name_b: str) -> str:
        """What came out, in plain words; differences in points, that is, per cent of the images.

        Args:
            name_a: what to call a; the sentence begins with it.
            name_b: what to call b.
        """
        difference = self.difference
        if not self.only_a and not self.only_b:
            return (
                f"{name_a} and {name_b} are right on the same images, so they are not "
                f"distinguishable with {_images(self.n)}; the difference is 0.0 points "
                f"({points(difference.low)} to {points(difference.high)})."
            )
        low, high = difference.low, difference.high
        if difference.value < 0:
            low, high = -high, -low
        which = "worse" if difference.value < 0 else "better"
        amount = f"{points(abs(difference.value))} points ({points(low)} to {points(high)})"
        if self.distinguishable:
            return (
                f"{name_a} is {which} than {name_b} by {amount}; chance alone would rarely do "
                f"this ({self._test()}, n = {self.n:,})."
            )
        needed = "" if self.needed is None else f"; you would need about {roughly(self.needed)}"
        if low > 0:
            return (
                f"{name_a} may be {which} than {name_b} by {amount}, but with "
                f"{_images(self.n)} chance alone could still do this ({self._test()}){needed}."
            )
        return (
            f"{name_a} is not distinguishable from {name_b} with {_images(self.n)}{needed}. The "
            f"difference is {points(difference.value)} points ({points(difference.low)} to "
            f"{points(difference.high)}; {self._test()})."
        )

    def to_json(self) -> dict[str, object]:
        """All of it as plain values for JSON."""
        return {
            "n": self.n,
            "accuracy_a": self.accuracy_a.value,
            "accuracy_a_ci95": [self.accuracy_a.low, self.accuracy_a.high],
            "accuracy_b": self.accuracy_b.value,
            "accuracy_b_ci95": [self.accuracy_b.low, self.accuracy_b.high],
            "difference": self.difference.value,
            "difference_ci95": [self.difference.low, self.difference.high],
            "only_a": self.only_a,
            "only_b": self.only_b,
            "p": self.p,
            "p_holm": self.p_holm,
            "tests": self.tests,
            "distinguishable": self.distinguishable,
            "needed": self.needed,
        }

    def _test(self) -> str:
        if self.tests == 1:
            return f"McNemar {told(self.p)}"
        return f"McNemar {told(self.p_holm)}, corrected for {self.tests} comparisons"


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
    p = _mcnemar(only_a, only_b)
    return Comparison(
        accuracy_a=wilson(int(a.sum()), n),
        accuracy_b=wilson(int(b.sum()), n),
        difference=tango(only_a, only_b, n),
        only_a=only_a,
        only_b=only_b,
        p=p,
        tests=1,
        p_holm=p,
    )


def corrected(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """The same comparisons, looked at together: with Holm's correction of their p."""
    adjusted = holm([comparison.p for comparison in comparisons])
    return tuple(
        replace(comparison, tests=len(comparisons), p_holm=p)
        for comparison, p in zip(comparisons, adjusted, strict=True)
    )


def holm(p: Sequence[float]) -> tuple[float, ...]:
    """Holm's correction (1979) of m probabilities, in their order.

    The smallest is multiplied by m, the next by m - 1, and so on; none becomes smaller than the
    one before it or greater than 1. If no classifier differs from the one that all are compared
    with, the smallest of them is below 0.05 in at most 1 of 20 cases, however they depend.
    """
    order = sorted(range(len(p)), key=p.__getitem__)
    adjusted = [0.0] * len(p)
    least = 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = least
    return tuple(adjusted)


def _mcnemar(only_a: int, only_b: int) -> float:
    """Twice the tail of a fair coin thrown once for each image that tells the two apart."""
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def points(share: float, *, signed: bool = False) -> str:
    """A difference of shares in points, that is, per cent of the images: `6.5`, `−0.7`.

    Args:
        share: in [-1, 1].
        signed: whether one above 0 has a plus.
    """
    # Adding 0 takes the sign from a rounded −0.
    value = round(100 * share, 1) + 0.0
    plus = "+" if signed and value > 0 else ""
    return plus + f"{value:.1f}".replace("-", "−")


def told(p: float) -> str:
    """A probability as it is told beside a test: `p = 0.012`."""
    if p < 0.001:
        return "p < 0.001"
    # Rounding must not put p on the limit that it is below or above.
    return f"p = {p:.4f}" if f"{p:.3f}" == f"{_RARE:.3f}" else f"p = {p:.3f}"


def roughly(number: int) -> str:
    """A number as a person would say it, with two significant digits."""
    return f"{int(float(f'{number:.1e}')):,}"


def _images(n: int) -> str:
    return f"{n:,} test image{'' if n == 1 else 's'}"
