"""Receiver operating characteristic: one label against all others.

Source: Fawcett, T. (2006). An introduction to ROC analysis. Pattern Recognition Letters 27,
861-874. The area under the curve is in `auc`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class RocCurve:
    """How many images of a label are found, against how many others are taken for it.

    Attributes:
        false_positive_rate: (p,) float64, ascending from 0 to 1.
        true_positive_rate: (p,) float64, ascending from 0 to 1.
    """

    false_positive_rate: NDArray[np.float64]
    true_positive_rate: NDArray[np.float64]


def roc_curve(
    scores: NDArray[np.float32], positive: NDArray[np.bool_], *, points: int = 200
) -> RocCurve:
    """The curve over all thresholds, thinned for drawing.

    Args:
        scores: (n,) the higher, the more likely the label.
        positive: (n,) whether the image has the label; both kinds must occur.
        points: the most points to keep, evenly spread along the curve.
    """
    order = np.argsort(-scores, kind="stable")
    hits = positive[order]
    # One point per distinct score: images that tie cannot be told apart by a threshold.
    last = np.r_[np.flatnonzero(np.diff(scores[order])), len(scores) - 1]
    sensitivity = np.r_[0, np.cumsum(hits)[last]] / hits.sum()
    taken = np.r_[0, np.cumsum(~hits)[last]] / (~hits).sum()
    corner = np.ones(len(sensitivity), bool)
    corner[1:-1] = ~(
        ((sensitivity[:-2] == sensitivity[1:-1]) & (sensitivity[1:-1] == sensitivity[2:]))
        | ((taken[:-2] == taken[1:-1]) & (taken[1:-1] == taken[2:]))
    )
    sensitivity, taken = sensitivity[corner], taken[corner]
    if len(sensitivity) > points:
        along = sensitivity + taken
        keep = np.unique(np.searchsorted(along, np.linspace(0, along[-1], points)))
        sensitivity, taken = sensitivity[keep], taken[keep]
    return RocCurve(taken, sensitivity)
