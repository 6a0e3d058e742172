"""Calibration: whether of the images called with 80 % probability, 80 % are right.

Sources:
    Guo, C. et al. (2017). On calibration of modern neural networks. ICML (expected
        calibration error of the predicted label, equal-width bins).
    Brier, G. W. (1950). Verification of forecasts expressed in terms of probability.
        Monthly Weather Review 78, 1-3 (summed over labels: 0 is best, 2 is worst).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foveate.evaluation.intervals import Estimate, wilson

BINS = 10


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Images whose predicted label has a probability in one range.

    Attributes:
        low: lower bound of the range, excluded except in the first bin.
        high: upper bound, included.
        confidence: mean probability of the predicted label; NaN in an empty bin.
        accuracy: share of these images that are right.
    """

    low: float
    high: float
    confidence: float
    accuracy: Estimate


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far the probabilities can be taken at their word.

    Attributes:
        bins: the reliability bins, ascending, empty ones included.
        error: expected calibration error, in [0, 1]; with few images it is above zero even
            for perfect probabilities.
        log_loss: mean of -ln(probability of the known label), in nats.
        brier: mean squared distance to certainty in the known label, in [0, 2].
    """

    bins: tuple[ReliabilityBin, ...]
    error: float
    log_loss: float
    brier: float


def calibration(probabilities: NDArray[np.float32], known: NDArray[np.intp]) -> Calibration:
    """Measure the calibration of n ≥ 1 predictions.

    Args:
        probabilities: (n, k), rows sum to 1.
        known: (n,) index of the known label.
    """
    exact = probabilities.astype(np.float64)
    confidence = exact.max(axis=1)
    right = probabilities.argmax(axis=1) == known
    # The inner edges alone: a probability of exactly 0 or 1 belongs to the outer bins.
    edges = np.linspace(0, 1, BINS + 1)
    member = np.digitize(confidence, edges[1:-1], right=True)
    bins = []
    error = 0.0
    for index in range(BINS):
        inside = member == index
        n = int(inside.sum())
        accuracy = wilson(int(right[inside].sum()), n)
        mean = float(confidence[inside].mean()) if n else float("nan")
        bins.append(ReliabilityBin(float(edges[index]), float(edges[index + 1]), mean, accuracy))
        if n:
            error += n / len(known) * abs(accuracy.value - mean)
    rows = np.arange(len(known))
    # A float32 probability cannot tell 1e-7 from 0; a hard zero must not make the loss infinite.
    given = np.clip(exact[rows, known], np.finfo(np.float32).eps, 1.0)
    truth = np.zeros_like(exact)
    truth[rows, known] = 1
    return Calibration(
        bins=tuple(bins),
        error=error,
        log_loss=float(-np.log(given).mean()),
        brier=float(((exact - truth) ** 2).sum(axis=1).mean()),
    )
