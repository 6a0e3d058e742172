"""Continue a learning curve: error(n) = a + b · n^-c.

That the error of many learners falls like this is an observation (Hestness, J. et al. (2017). Deep
learning scaling is predictable, empirically. arXiv:1712.00409; Viering, T. and Loog, M. (2021). The
shape of learning curves: a review. arXiv:2103.10948, section 4, POW3). a is the error that no
number of such images takes away. c is kept between 0.05, below the flattest that Hestness et al.
found (0.07), and 1, the fastest that theory knows of in general (Viering and Loog, section 4.2).

The interval is what other images of the same kind, and other draws of the parts, would have given.
It leaves out that the law itself may not hold so far, and that new images may differ from these.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from foveate.evaluation.intervals import LEVEL, Estimate, widened, wilson
from foveate.tuning.learning_curve import LearningCurve

EXPONENTS = np.geomspace(0.05, 1.0, 120)
"""Values of c that are tried."""

RESAMPLES = 1000
FACTORS = (1, 2, 4)
"""Times the training images that there are."""

FEWEST_SIZES = 3
"""As many sizes as the law has unknowns."""

_BAND = 60
_TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
_METHOD = f"bootstrap over images and repeats, {RESAMPLES:,} resamples"


@dataclass(frozen=True, slots=True)
class PowerLaws:
    """k power laws.

    Attributes:
        floor: (k,) a, in [0, 1].
        scale: (k,) b, at least 0.
        exponent: (k,) c.
        unit: images that n is counted in; only for the numbers' sake.
    """

    floor: NDArray[np.float64]
    scale: NDArray[np.float64]
    exponent: NDArray[np.float64]
    unit: float

    def errors(self, sizes: NDArray[np.float64]) -> NDArray[np.float64]:
        """(k, m) share of wrong answers after learning from m numbers of images, in [0, 1]."""
        falling = (sizes / self.unit)[None] ** -self.exponent[:, None]
        errors: NDArray[np.float64] = self.floor[:, None] + self.scale[:, None] * falling
        return errors.clip(0, 1)


@dataclass(frozen=True, slots=True)
class Continuation:
    """A learning curve as far as it was measured, and how it may go on.

    Attributes:
        measured: images learned from → accuracy on held-out images.
        expected: images → accuracy, for `FACTORS` times all training images.
        gain: accuracy that twice all training images add to that of all.
        band: (m, 4) float64 for a figure: images, accuracy by the law, lower and upper end.
    """

    measured: dict[float, Estimate]
    expected: dict[int, Estimate]
    gain: Estimate
    band: NDArray[np.float64]


def continue_curve(curve: LearningCurve, n: int, *, seed: int) -> Continuation | None:
    """Fit a power law to a learning curve, and to what other images would have given.

    Args:
        curve: as measured.
        n: all training images.
        seed: of the resampling.

    Returns:
        None where there are too few sizes to fit to.
    """
    if len(curve.sizes) < FEWEST_SIZES:
        return None
    errors, resampled = curve.errors, curve.resampled_errors(RESAMPLES, seed)
    images = len(np.unique(curve.groups))
    # A share's variance; half an image more, so that no size counts without limit.
    smooth = (errors * images + 0.5) / (images + 1)
    weights = 1 / (smooth * (1 - smooth))
    law = fit_power_laws(curve.sizes, errors[None], weights)
    laws = fit_power_laws(curve.sizes, resampled, weights)

    sizes = np.array([factor * n for factor in FACTORS], np.float64)
    value, values = 1 - law.errors(sizes)[0], 1 - laws.errors(sizes)
    grid = np.geomspace(curve.sizes[0], sizes[-1], _BAND)
    low, high = np.quantile(1 - laws.errors(grid), _TAILS, axis=0)
    measured = {
        float(size): _accuracy(1 - float(errors[j]), 1 - resampled[:, j], images)
        for j, size in enumerate(curve.sizes)
    }
    expected = {
        factor * n: _accuracy(float(value[k]), values[:, k], images)
        for k, factor in enumerate(FACTORS)
    }
    gain = _interval(float(value[1] - value[0]), values[:, 1] - values[:, 0], images)
    if gain.low == gain.high:
        gain = replace(gain, high=1 - expected[n].low)  # at most all errors that there may be
    band = np.stack([grid, 1 - law.errors(grid)[0], low, high], axis=1)
    return Continuation(measured, expected, gain, band)


def fit_power_laws(
    sizes: NDArray[np.float64], errors: NDArray[np.float64], weights: NDArray[np.float64]
) -> PowerLaws:
    """Weighted least squares for many curves at once.

    For each c on a grid the best a and b, neither below 0, are known in closed form.

    Args:
        sizes: (J,) images learned from, J ≥ 2.
        errors: (k, J) share of wrong answers.
        weights: (J,) of each size.
    """
    unit = float(sizes[-1])
    w = weights / weights.sum()
    falling = (sizes / unit) ** -EXPONENTS[:, None]  # (C, J)
    mean, mean_error = falling @ w, errors @ w  # (C,), (k,)
    spread = (falling**2) @ w - mean**2
    slope = ((errors * w) @ falling.T - mean_error[:, None] * mean) / spread  # (k, C)
    floor = mean_error[:, None] - slope * mean
    # Where the best is below 0, the best that is allowed lies on the border.
    through_0 = ((errors * w) @ falling.T) / ((falling**2) @ w)
    scale = np.where(floor < 0, through_0, np.maximum(slope, 0))
    floor = np.where(floor < 0, 0, np.where(slope < 0, mean_error[:, None], floor))
    off = errors[:, None] - floor[..., None] - scale[..., None] * falling
    best = ((off**2) @ w).argmin(axis=1)
    k = np.arange(len(errors))
    return PowerLaws(floor[k, best], scale[k, best], EXPONENTS[best], unit)


def _interval(value: float, values: NDArray[np.float64], images: int) -> Estimate:
    """A measure, with the interval of what it was on resampled images."""
    low, high = np.quantile(values, _TAILS)
    return Estimate(value, min(float(low), value), max(float(high), value), images, _METHOD)


def _accuracy(value: float, values: NDArray[np.float64], images: int) -> Estimate:
    interval = _interval(value, values, images)
    if interval.low < interval.high:
        return interval
    # Nothing was ever wrong, or everything: resampling sees no spread.
    return widened(interval, wilson(round(value * images), images), "Wilson")
