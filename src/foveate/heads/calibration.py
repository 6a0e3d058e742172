"""Turn scores into probabilities: softmax(scores / temperature).

One number for all labels cannot change which label wins, and cannot overfit a few hundred
images as a curve for each label can.

C. Guo, G. Pleiss, Y. Sun, K. Weinberger, On calibration of modern neural networks, ICML 2017.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

DEFAULT_TEMPERATURE: Mapping[str, float] = {"svm": 0.2, "logistic": 0.4, "forest": 0.5}
"""By kind of head, where no image could be held out. With one and with five images per label of
three sets, the best temperature was 0.1 to 0.25 for the SVM at C = 1 and 0.2 to 0.5 for logistic
regression at C = 10; forests on larger sets had 0.25 to 0.55."""

# The lower end keeps float32 rounding of the scores (about 1e-7) below 1e-5 in the probabilities.
_BOUNDS = (1e-2, 1e2)


def fit_temperature(scores: NDArray[np.float32], codes: NDArray[np.intp]) -> float:
    """The temperature with the least negative log-likelihood on held-out scores.

    Scores that separate the labels perfectly would want temperature 0, which no finite set can
    justify. So the targets are not 1 and 0 but what the rule of succession expects after n right
    answers: (n + 1)/(n + 2) for the label, and 1/(n + 2) for all others together. For two labels
    that is J. Platt, Probabilistic outputs for support vector machines, 1999, section 2.2, with
    both labels counted together.

    Args:
        scores: (n, K) float32, of images that the scoring fit did not see.
        codes: (n,) their labels, in [0, K).

    Returns:
        A temperature in [0.01, 100].
    """
    n, n_labels = scores.shape
    centred = scores - scores.max(1, keepdims=True)
    own = centred[np.arange(n), codes]
    others = (centred.sum(dtype=np.float64) - own.sum(dtype=np.float64)) / (n_labels - 1)
    wanted = float(((n + 1) * own.sum(dtype=np.float64) + others) / (n + 2))

    def loss(log_temperature: float) -> float:
        slope = math.exp(-log_temperature)
        total = np.exp(centred * np.float32(slope)).sum(1)
        mean: float = (np.log(total).sum(dtype=np.float64) - slope * wanted) / n
        return mean

    minimum = minimize_scalar(
        loss, bounds=np.log(_BOUNDS), method="bounded", options={"xatol": 1e-4}
    )
    return math.exp(minimum.x)
