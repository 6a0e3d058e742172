"""Feature-like data: overlapping clusters with a few strong directions, like a backbone's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def clusters(
    n: int, d: int, n_labels: int, *, spread: float = 1.5, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Non-negative (n, d) float32 features and their (n,) labels, "a", "b", …"""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((n_labels, d))
    strength = 1 / (1 + np.arange(d)) ** 0.5
    codes = np.arange(n) % n_labels
    noise = spread * random.standard_normal((n, d))
    features = np.maximum((centres[codes] + noise) * strength * 3 + 1, 0)
    return features.astype(np.float32), np.array(list("abcdefghijklmnop"))[codes]
