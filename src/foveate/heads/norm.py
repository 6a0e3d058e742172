"""What the exported graph does before and after the head, in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SMALLEST_NORM = 1e-12
"""Rows shorter than this are divided by it instead, so that a zero row stays zero."""


def unit_rows(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide each row by its Euclidean length.

    The length is summed in float64 and rounded once: any order of summation then gives the same
    float32, so that a forest compares the very same numbers here and in the exported graph.

    Args:
        features: (n, d) float32.

    Returns:
        (n, d) float32, a new array.
    """
    squares = np.einsum("ij,ij->i", features, features, dtype=np.float64)
    length = np.maximum(np.sqrt(squares), SMALLEST_NORM).astype(np.float32)
    unit: NDArray[np.float32] = features / length[:, None]
    return unit


def softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities (n, K) float32 that are proportional to exp of the scores."""
    shares: NDArray[np.float32] = np.exp(scores - scores.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    return shares
