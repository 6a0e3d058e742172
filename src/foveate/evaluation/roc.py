"""Receiver operating characteristic, one label against all others, and the area under it.

Source: Fawcett, T. (2006). An introduction to ROC analysis. Pattern Recognition Letters 27,
861-874. The area is the Mann-Whitney statistic: the share of pairs (image of the label, other
image) in which the label's own image scores higher, ties counting one half.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1_000_000
"""Weights held at a time while resampling: bounds memory, whatever the number of images."""


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
    found = np.r_[0, np.cumsum(hits)[last]] / hits.sum()
    taken = np.r_[0, np.cumsum(~hits)[last]] / (~hits).sum()
    corner = np.ones(len(found), bool)
    corner[1:-1] = ~(
        ((found[:-2] == found[1:-1]) & (found[1:-1] == found[2:]))
        | ((taken[:-2] == taken[1:-1]) & (taken[1:-1] == taken[2:]))
    )
    found, taken = found[corner], taken[corner]
    if len(found) > points:
        along = found + taken
        keep = np.unique(np.searchsorted(along, np.linspace(0, along[-1], points)))
        found, taken = found[keep], taken[keep]
    return RocCurve(taken, found)


def areas(
    probabilities: NDArray[np.float32], known: NDArray[np.intp], weights: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Area under the ROC curve of each label against the rest, for each row of weights.

    Args:
        probabilities: (n, k) score of each label.
        known: (n,) index of the known label.
        weights: (b, n) how often each image counts; for each label, its images' weights have
            the same sum in every row.

    Returns:
        (b, k) float64; NaN for a label that no image has or that all have.
    """
    result = np.full((len(weights), probabilities.shape[1]), np.nan)
    for k in np.unique(known):
        positives = np.flatnonzero(known == k)
        negatives = np.flatnonzero(known != k)
        if not len(negatives):
            continue
        own = probabilities[positives, k]
        pairs = weights[0, positives].sum(dtype=float) * weights[0, negatives].sum(dtype=float)
        # Others that score below every image of the label lose no pair: leave them out.
        negatives = negatives[probabilities[negatives, k] >= own.min()]
        negatives = negatives[np.argsort(-probabilities[negatives, k], kind="stable")]
        ranked = -probabilities[negatives, k]
        above = np.zeros((len(weights), len(negatives) + 1), np.float32)
        np.cumsum(weights[:, negatives], axis=1, out=above[:, 1:])
        lost = above[:, np.searchsorted(ranked, -own, "left")]
        lost += above[:, np.searchsorted(ranked, -own, "right")]
        lost *= weights[:, positives]
        result[:, k] = 1 - lost.sum(axis=1, dtype=float) / 2 / pairs
    return result


def resampled_areas(
    probabilities: NDArray[np.float32],
    known: NDArray[np.intp],
    *,
    resamples: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """`areas` on bootstrap resamples that keep the number of images of each label.

    Returns:
        (resamples, k) float64; all labels of a row come from the same resample.
    """
    block = max(1, _BLOCK // len(known))
    return np.concatenate(
        [
            areas(probabilities, known, _resampled(known, min(block, resamples - done), rng))
            for done in range(0, resamples, block)
        ]
    )


def _resampled(
    known: NDArray[np.intp], resamples: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """(resamples, n) how often each image is drawn, with replacement, within its label."""
    weights = np.empty((resamples, len(known)), np.float32)
    offsets = np.arange(resamples)[:, np.newaxis]
    for k in np.unique(known):
        members = np.flatnonzero(known == k)
        n = len(members)
        drawn = rng.integers(0, n, size=(resamples, n)) + offsets * n
        counts = np.bincount(drawn.ravel(), minlength=resamples * n)
        weights[:, members] = counts.reshape(resamples, n)
    return weights
